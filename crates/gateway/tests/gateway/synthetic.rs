//! Synthetic requests: both versions are asked the same, as often, for as long as the table says so.

use crate::{backend::Backend, client::send, world::World};
use bytes::Bytes;
use http::{Response, StatusCode, request::Parts};
use http_body_util::Full;
use plimsoll_model::{
    RevisionId,
    synthetic::{Asking, Synthetic},
};
use std::sync::{Arc, Mutex};

/// One that answers with this status, and keeps the heads of what it was asked.
async fn keeping(status: StatusCode) -> (Backend, Arc<Mutex<Vec<Parts>>>) {
    let heads: Arc<Mutex<Vec<Parts>>> = Arc::default();
    let kept = Arc::clone(&heads);
    let backend = Backend::http(move |request| {
        kept.lock().unwrap().push(request.into_parts().0);
        async move {
            let mut response = Response::new(Full::new(Bytes::from_static(b"here")));
            *response.status_mut() = status;
            response
        }
    })
    .await;
    (backend, heads)
}

fn asking() -> Asking {
    let versions = ["old", "new"].map(|name| RevisionId(name.into()));
    let headers = [("x-shop".to_owned(), "three".to_owned())].into();
    Asking {
        versions,
        traffic: Synthetic { requests_per_second: 200, paths: vec!["/one".into(), "/two?a=b".into()], headers },
    }
}

#[tokio::test]
async fn both_versions_are_asked_as_often_and_it_counts_for_no_user() {
    let (old, old_heads) = keeping(StatusCode::OK).await;
    let (new, new_heads) = keeping(StatusCode::INTERNAL_SERVER_ERROR).await;
    let (world, address) = World::serving(&[&old, &new]).await;
    world.change_web(|web| {
        web.replicas[0].revision = RevisionId("old".into());
        web.replicas[1].revision = RevisionId("new".into());
        // The new one has no share of what users ask.
        web.replicas[1].weight = 0;
        web.synthetic = Some(asking());
    });
    world.applied().await;
    let made = |told: &plimsoll_wire::gateway::Figures, name: &str| told.replicas[name].synthetic.requests;
    world.told("both were asked", |told| made(told, "web-1").min(made(told, "web-2")) >= 40).await;
    // A client can't make its request look like one.
    let answer = send(address, "GET /user HTTP/1.1\r\nHost: localhost\r\nX-Plimsoll-Synthetic: 1\r\n\r\n").await;
    assert_eq!(answer.status(), 200);
    world.change_web(|web| web.synthetic = None);
    world.applied().await;
    // What was under way ends, and nothing follows: both were asked the same number of times.
    let both = || (old_heads.lock().unwrap().len(), new_heads.lock().unwrap().len());
    world
        .told("all have ended", |told| {
            made(told, "web-1") == made(told, "web-2") && both().1 as u64 == made(told, "web-2")
        })
        .await;
    let figures = world.figures().unwrap();
    let (one, other) = (&figures.replicas["web-1"], &figures.replicas["web-2"]);
    let asked = one.synthetic.requests;
    assert_eq!(both(), (usize::try_from(asked).unwrap() + 1, usize::try_from(asked).unwrap()));
    assert_eq!((one.requests, one.copies, one.asked(), one.errors, one.synthetic.errors), (asked + 1, asked, 1, 0, 0));
    assert_eq!((other.requests, other.asked(), other.errors, other.synthetic.errors), (asked, 0, asked, asked));
    assert_eq!(other.synthetic.latency.iter().sum::<u64>(), asked);
    assert!(!other.ejected && figures.ejections == 0, "{other:?}");
    let route = &figures.routes["*/"];
    assert_eq!((route.requests, route.statuses.get("5xx")), (1, None));
    let heads = new_heads.lock().unwrap();
    let field = |head: &Parts, name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let want = |path: &str| heads.iter().filter(|head| head.uri == path).count().abs_diff(heads.len() / 2) <= 1;
    assert!(want("/one") && want("/two?a=b"), "in turn");
    for head in heads.iter() {
        let fields = ["host", "x-shop", "x-plimsoll-synthetic"].map(|name| field(head, name).unwrap());
        assert_eq!(fields, ["web", "three", "1"]);
    }
    let user = old_heads.lock().unwrap();
    let user = user.iter().find(|head| head.uri == "/user").unwrap();
    assert_eq!(field(user, "x-plimsoll-synthetic"), None);
}

#[tokio::test]
async fn without_one_of_the_versions_neither_is_asked() {
    let (old, heads) = keeping(StatusCode::OK).await;
    let (new, new_heads) = keeping(StatusCode::OK).await;
    let (world, _) = World::serving(&[&old, &new]).await;
    world.change_web(|web| {
        web.replicas[0].revision = RevisionId("old".into());
        web.replicas[1].revision = RevisionId("new".into());
        web.replicas[1].serving = false;
        web.synthetic = Some(asking());
    });
    world.applied().await;
    // It is there: both are asked, and none was before.
    world.change_web(|web| web.replicas[1].serving = true);
    world.applied().await;
    world.told("both were asked", |told| told.replicas["web-2"].synthetic.requests >= 10).await;
    let (before, after) = (heads.lock().unwrap().len(), new_heads.lock().unwrap().len());
    assert!(before.abs_diff(after) <= 2, "{before} and {after}");
}
