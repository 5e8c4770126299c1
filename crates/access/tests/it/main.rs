//! The whole permission table: consent term x purpose x requester.

#![allow(clippy::unwrap_used)]

mod permissions;
