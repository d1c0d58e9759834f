//! From the text of plimsoll.yaml to a checked System, with diagnostics.
