//! The page: three static files, the state as JSON, and the buttons' orders.
//!
//! Orders are POST requests with a header that no foreign page can set without asking first, so a page elsewhere
//! that knows the port cannot press buttons here. The scripts and styles are files of our own, and the content
//! security policy allows nothing else.

use std::io;
use std::sync::Arc;

use anyhow::{Context, Result};
use http::HeaderValue;
use world::http::{Hangup, Reply, Request, Server, reply};

use crate::say;
use crate::stage::{Actors, Order};
use crate::state::Scene;

const ADDRESS: &str = "127.0.0.1:7357";
const ORDER_HEADER: &str = "x-muster-demo";
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Serves the page at `listen`, or at the usual place and, if that is taken, on any port.
pub(crate) async fn serve(listen: Option<&str>, actors: Actors) -> Result<Server> {
    let scene = Arc::new(Scene::default());
    let handler = move |request| answer(request, actors.clone(), scene.clone());
    if let Some(address) = listen {
        let server = Server::listen(address, handler).await;
        return server.with_context(|| format!("serving the page on {address}"));
    }
    match Server::listen(ADDRESS, handler.clone()).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            say(&format!("{ADDRESS} is in use; the page takes another port"));
            Server::start(handler).await.context("serving the page")
        }
        server => server.context("serving the page"),
    }
}

async fn answer(request: Request, actors: Actors, scene: Arc<Scene>) -> Result<Reply, Hangup> {
    let path = request.uri().path().to_owned();
    let mut answer = match (request.method().as_str(), path.as_str()) {
        ("GET", "/") => reply(200, "text/html; charset=utf-8", include_str!("../page/index.html")),
        ("GET", "/page.js") => reply(200, "text/javascript; charset=utf-8", include_str!("../page/page.js")),
        ("GET", "/page.css") => reply(200, "text/css; charset=utf-8", include_str!("../page/page.css")),
        ("GET", "/icon.svg") => reply(200, "image/svg+xml", include_str!("../page/icon.svg")),
        ("GET", "/api/state") => reply(200, "application/json", scene.describe(&actors).to_string()),
        ("POST", _) if !request.headers().contains_key(ORDER_HEADER) => {
            reply(403, "text/plain", format!("the header {ORDER_HEADER} is missing\n"))
        }
        ("POST", path) => match order(path) {
            Some(order) => match actors.order(order).await {
                Ok(()) => reply(202, "text/plain", "done\n"),
                Err(why) => reply(409, "text/plain", why),
            },
            None => reply(404, "text/plain", "no such order\n"),
        },
        _ => reply(404, "text/plain", "nothing is here\n"),
    };
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(answer)
}

/// The order that a button's path stands for.
fn order(path: &str) -> Option<Order> {
    let mut words = path.strip_prefix("/api/")?.split('/');
    let order = match (words.next()?, words.next()) {
        ("add", None) => Order::Add,
        ("remove", None) => Order::Remove,
        ("kill-allocator", None) => Order::KillAllocator,
        ("kill", Some(scraper)) => Order::Kill(scraper.to_owned()),
        ("start", Some(scraper)) => Order::Start(scraper.to_owned()),
        ("scale", Some(number)) => Order::Scale(number.parse().ok().filter(|number| *number > 0)?),
        _ => return None,
    };
    words.next().is_none().then_some(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_orders() {
        assert_eq!(order("/api/add"), Some(Order::Add));
        assert_eq!(order("/api/kill/s-1"), Some(Order::Kill("s-1".to_owned())));
        assert_eq!(order("/api/scale/5"), Some(Order::Scale(5)));
        for path in ["/api/scale/0", "/api/kill", "/api/add/1", "/api/kill/s-1/x", "/add", "/api/"] {
            assert_eq!(order(path), None, "{path}");
        }
    }

    #[test]
    fn the_page_carries_nothing_that_its_policy_forbids() {
        let page = include_str!("../page/index.html");
        for forbidden in ["<style", "style=", "onclick", "<script>", "http:", "https:"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
    }
}
