//! Tests that cross crates: tidy rules and whole sessions. Nothing here is linked into the product.
