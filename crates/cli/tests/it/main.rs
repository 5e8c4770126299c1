//! Tests of the program as people use it.
