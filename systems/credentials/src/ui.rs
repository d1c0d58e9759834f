//! The `ui` role: pages rendered on the server.

/// Serves the pages until SIGTERM.
///
/// # Errors
/// Settings or the port.
pub async fn serve() -> anyhow::Result<()> {
    Ok(())
}
