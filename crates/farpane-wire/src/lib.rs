//! Every serialised message of the product, versioned.

#![forbid(unsafe_code)]
