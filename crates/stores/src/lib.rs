//! How each kind of store is started, made ready and formed.
