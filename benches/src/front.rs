//! The thin front that a store stands behind: hyper as in the bare row, a path, a JSON body, one question to the store.
//!
//! It checks no token, knows no limits and keeps no metrics, all of which Onrush does. So the rows behind it are the
//! best that anybody could build on these stores, not what people usually build.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::{Request, Response, StatusCode};
use redis::aio::MultiplexedConnection;
use serde::Deserialize;
use tempfile::TempDir;
use tokio_postgres::{NoTls, Statement};

use crate::hyper_server::{answer, run, serve_with, start_self};
use crate::key::Key;
use crate::process::{Process, Stage};
use crate::requests::{RequestCount, Requests, performances};
use crate::wire::Wire;
use crate::{hold, postgresql_server, redis_server};

/// The subcommand under which this program is a front: not for people.
pub const SUBCOMMAND: &str = "serve-front";

/// What stands behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// One connection that all requests share: what comes at one time goes in one write.
    Redis {
        /// Where it listens.
        address: SocketAddr,
        /// The digest of the script.
        script: String,
    },
    /// A pool, used in turns.
    Postgresql {
        /// Where it listens.
        address: SocketAddr,
    },
}

/// Starts a front in a process of its own; `server` is the store's, and `data` are what it keeps.
///
/// # Errors
/// Where it does not start.
pub fn start(store: &Store, server: Process, data: TempDir, count: RequestCount) -> anyhow::Result<Stage> {
    let (process, address) = match store {
        Store::Redis { address, script } => start_self(&[SUBCOMMAND, "redis", &address.to_string(), script])?,
        Store::Postgresql { address } => start_self(&[SUBCOMMAND, "postgresql", &address.to_string()])?,
    };
    let requests = Requests::holds(address, &performances(count), &Key::of_nobody(), count);
    Ok(Stage { processes: vec![process, server], address, wire: Wire::Http, requests, data: Some(data) })
}

/// Is the front that the arguments behind [`SUBCOMMAND`] describe.
///
/// # Errors
/// Where the store is not there.
pub fn serve(arguments: &[String]) -> anyhow::Result<()> {
    let store = store(arguments)?;
    run(async {
        let store = Rc::new(Open::connect(store).await?);
        serve_with(move |request| respond(Rc::clone(&store), request)).await
    })
}

fn store(arguments: &[String]) -> anyhow::Result<Store> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["redis", address, script] => Ok(Store::Redis { address: address.parse()?, script: script.to_owned() }),
        ["postgresql", address] => Ok(Store::Postgresql { address: address.parse()? }),
        _ => bail!("no such store: {}", arguments.join(" ")),
    }
}

enum Open {
    Redis { connection: MultiplexedConnection, script: String },
    Postgresql { pool: Vec<(tokio_postgres::Client, Statement)>, turn: Cell<usize> },
}

/// Connections to PostgreSQL: see there.
const POOL: usize = 32;

impl Open {
    async fn connect(store: Store) -> anyhow::Result<Self> {
        match store {
            Store::Redis { address, script } => {
                let client = redis::Client::open(format!("redis://{address}")).context("Redis's address")?;
                let connection = client.get_multiplexed_async_connection().await.context("Redis is not there")?;
                Ok(Self::Redis { connection, script })
            }
            Store::Postgresql { address } => {
                let mut pool = Vec::with_capacity(POOL);
                for _ in 0..POOL {
                    pool.push(connect_postgresql(address).await?);
                }
                Ok(Self::Postgresql { pool, turn: Cell::new(0) })
            }
        }
    }

    /// Takes a seat for a buyer; whether it was free.
    async fn hold(&self, performance: &str, label: &str, buyer: &str) -> anyhow::Result<bool> {
        match self {
            Self::Redis { connection, script } => {
                let words = redis_server::evalsha(script, performance, label, buyer);
                let mut command = redis::Cmd::new();
                words.iter().for_each(|word| {
                    command.arg(word);
                });
                let held: u8 = command.query_async(&mut connection.clone()).await?;
                Ok(held == 1)
            }
            Self::Postgresql { pool, turn } => {
                let (client, statement) = &pool[turn.replace((turn.get() + 1) % pool.len())];
                let number = hold::performance_number(performance).context("no such performance")?;
                Ok(client.execute(statement, &[&(number as i64), &label, &buyer]).await? == 1)
            }
        }
    }
}

async fn connect_postgresql(address: SocketAddr) -> anyhow::Result<(tokio_postgres::Client, Statement)> {
    let (host, port, user) = (address.ip(), address.port(), postgresql_server::USER);
    let settings = format!("host={host} port={port} user={user} dbname=postgres");
    let (client, connection) = tokio_postgres::connect(&settings, NoTls).await.context("PostgreSQL is not there")?;
    tokio::spawn(connection);
    let statement = client.prepare(postgresql_server::HOLD).await.context("PostgreSQL takes no statement")?;
    Ok((client, statement))
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    seats: [&'a str; 1],
}

async fn respond(store: Rc<Open>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(held(&store, request).await.unwrap_or_else(|error| answer(StatusCode::BAD_GATEWAY, format!("{error:#}").into())))
}

async fn held(store: &Open, request: Request<Incoming>) -> anyhow::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.context("the body broke off")?.to_bytes();
    let performance = head.uri.path().split('/').nth(3).context("the path names no performance")?;
    let Body { seats: [label] } = serde_json::from_slice(&body).context("the body names no seat")?;
    if store.hold(performance, label, buyer(&head)?).await? {
        Ok(answer(StatusCode::CREATED, Bytes::from_static(hold::ANSWER.as_bytes())))
    } else {
        Ok(answer(StatusCode::CONFLICT, Bytes::from_static(b"taken")))
    }
}

/// A name for whoever asks: the end of the token, unchecked.
fn buyer(head: &hyper::http::request::Parts) -> anyhow::Result<&str> {
    let token = head.headers.get(AUTHORIZATION).context("there is no token")?.to_str().context("no token")?;
    ensure!(token.len() > 20, "the token is too short");
    token.get(token.len() - 20..).context("no token")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_named_by_its_arguments() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let address = "127.0.0.1:9".parse().unwrap();
        assert_eq!(store(&words(&["postgresql", "127.0.0.1:9"])).unwrap(), Store::Postgresql { address });
        assert!(store(&words(&["mysql", "127.0.0.1:9"])).is_err());
    }
}
