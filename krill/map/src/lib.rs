//! Read alignment.
