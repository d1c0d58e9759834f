//! A replica that comes back gets its share little by little.

use crate::{
    backend::Backend,
    client::Load,
    world::{PATIENCE, World, until},
};
use plimsoll_model::Millis;
use std::time::Instant;

#[tokio::test]
async fn the_share_of_a_replica_that_was_not_ready_grows_when_it_is() {
    let (stays, returns) = (Backend::echo("stays").await, Backend::echo("returns").await);
    let (world, address) = World::serving(&[&stays, &returns]).await;
    world.change_web(|web| {
        web.resilience.slow_start = Millis::from_secs(10);
        web.replicas[1].serving = false;
    });
    world.applied().await;
    let load = Load::start(address, 4, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    load.more(100).await;
    let before = returns.count();
    load.more(100).await;
    assert_eq!(returns.count(), before, "it is not asked");
    world.change_web(|web| web.replicas[1].serving = true);
    until("it is asked again", || returns.count() > before).await;
    let share = async |requests: u64| {
        let (one, other) = (stays.count(), returns.count());
        load.more(requests).await;
        let (one, other) = (stays.count() - one, returns.count() - other);
        other * 100 / (one + other)
    };
    let early = share(100).await;
    let end = Instant::now() + PATIENCE;
    let late = loop {
        let late = share(300).await;
        if late >= 40 {
            break late;
        }
        assert!(Instant::now() < end, "it never gets its share: {late} %");
    };
    eprintln!("{early} % of the requests at first, {late} % in the end");
    assert!(early < 30, "{early} % of the requests at once");
    assert_eq!(load.stop().await.1, Vec::<String>::new());
}
