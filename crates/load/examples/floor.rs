//! How much load one worker makes, and at what cost: `cargo run --release -p plimsoll-load --example floor -- RATE SECONDS`.
//! Sends to a small server in this process, on a thread of its own; prints what the generator's thread used.
#![expect(clippy::print_stdout, reason = "an example's output is what it is for")]

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use plimsoll_load::{Arrivals, Plan, RequestTemplate, Target};
use tokio::net::TcpListener;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let rate_per_s: f64 = arguments.next().ok_or("say a rate")?.parse()?;
    let seconds: u64 = arguments.next().ok_or("say a number of seconds")?.parse()?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let target = Target::parse(&format!("http://{}", listener.local_addr()?))?;
    std::thread::spawn(move || serve(listener));
    let requests = vec![RequestTemplate::get("/")];
    let duration = Duration::from_secs(seconds);
    let mut plan = Plan::new(target, Arrivals::Constant { rate_per_s }, duration, requests);
    plan.warm_up = Duration::from_secs(1);
    plan.connections_max = 64;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(plan.run())?;
    let used = report.generator.cpu.as_secs_f64() / (duration + plan.warm_up).as_secs_f64();
    println!("asked {} right {} failed {}", report.asked, report.right, report.failed);
    println!("latency {:?}", report.latency.summary());
    println!("{:?}", report.generator);
    println!("{:.0} requests/s with {:.2} of a core", report.rate_per_s, used);
    Ok(())
}

fn serve(listener: std::net::TcpListener) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async move {
        let accept = async {
            listener.set_nonblocking(true)?;
            let listener = TcpListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let service = service_fn(|_| async {
                    Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from_static(b"hello"))))
                });
                tokio::spawn(async move {
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
                });
            }
        };
        let ended: std::io::Result<()> = accept.await;
        println!("server: {ended:?}");
    });
}
