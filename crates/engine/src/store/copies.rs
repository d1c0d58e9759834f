//! Has commits of a primary wait for a standby, or for nobody, as `control::failover` says.

use super::{
    replicated::Replicated,
    server::{News, Server},
};

impl Replicated<'_> {
    /// Has commits of that member wait for nobody.
    pub(super) async fn be_alone(&mut self, place: usize) {
        let Some(postgres) = self.driver.replicated() else { return };
        let server = &mut self.servers[place];
        server.asked += 1;
        (server.waits, server.makes_sure) = (None, false);
        let done = postgres.have_wait(place, false).await;
        if done.is_ok() {
            server.waits = Some(false);
        }
        server.refused = done.err().map(|why| format!("can't be told to wait for nobody: {why}"));
    }

    /// Has commits of that member wait for a standby; that all of them do is told later.
    pub(super) async fn wait(&mut self, place: usize) {
        let Some(postgres) = self.driver.replicated() else { return };
        let server = &mut self.servers[place];
        if server.makes_sure {
            return;
        }
        server.asked += 1;
        server.waits = None;
        let done = postgres.have_wait(place, true).await;
        server.makes_sure = done.is_ok();
        server.refused = done.err().map(|why| format!("can't be told to wait for a standby: {why}"));
        if server.makes_sure {
            let (driver, news, asked) = (self.driver.clone(), self.sender.clone(), server.asked);
            tokio::task::spawn_local(async move {
                let Some(postgres) = driver.replicated() else { return };
                let done = postgres.have_waited(place).await.is_ok();
                news.send(News::Waits { place, asked, done }).ok();
            });
        }
    }
}

impl Server {
    /// It is about to be started, with files that say whether its commits wait.
    pub(super) fn start_waiting(&mut self, waits: bool) {
        self.asked += 1;
        (self.waits, self.makes_sure) = (Some(waits), false);
    }

    /// That all of its commits wait was made sure, or could not be. An answer to what was asked before is of no use.
    pub(super) fn take_waits(&mut self, asked: u64, done: bool) {
        if asked == self.asked && self.makes_sure {
            (self.waits, self.makes_sure) = (done.then_some(true), false);
        }
    }
}
