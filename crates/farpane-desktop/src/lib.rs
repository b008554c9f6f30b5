//! Capture and input on the OS desktop.
