//! A blocking OVSDB client over a Unix socket, for programs without an async runtime.
