//! Who answers, or asks.

use std::path::Path;

use crate::client::{self, Load, Measured};
use crate::generator::Generator;
use crate::requests::RequestCount;
use crate::{hyper_server, mailbox, onrush_server, postgresql_server, rabbitmq, redis_server};

/// What a row measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    /// Bare hyper with a fixed answer: what HTTP itself costs.
    Hyper,
    /// `onrush serve` with its shipped defaults.
    Onrush,
    /// `onrush engine` behind `onrush edge`.
    OnrushApart,
    /// Redis behind a thin hyper front.
    RedisBehindFront,
    /// Redis in its own protocol.
    RedisProtocol,
    /// PostgreSQL behind a thin hyper front.
    PostgresqlBehindFront,
    /// PostgreSQL in its own protocol.
    PostgresqlProtocol,
    /// A question and its answer through RabbitMQ.
    RabbitmqRpc,
    /// A question and its answer through an actor's mailbox.
    Mailbox,
    /// wrk against bare hyper.
    Wrk,
    /// Onrush's load generator against bare hyper.
    Loadgen,
}

impl Contender {
    /// What the contender is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hyper => "hyper",
            Self::Onrush => "onrush",
            Self::OnrushApart => "onrush-apart",
            Self::RedisBehindFront => "redis-behind-front",
            Self::RedisProtocol => "redis-protocol",
            Self::PostgresqlBehindFront => "postgresql-behind-front",
            Self::PostgresqlProtocol => "postgresql-protocol",
            Self::RabbitmqRpc => "rabbitmq-rpc",
            Self::Mailbox => "mailbox",
            Self::Wrk => "wrk",
            Self::Loadgen => "loadgen",
        }
    }

    /// The command that installs what it needs and this machine lacks; nothing where all is there.
    pub fn lacks(self) -> Option<&'static str> {
        let (is_there, install) = match self {
            Self::Hyper | Self::Onrush | Self::OnrushApart | Self::Mailbox | Self::Loadgen => return None,
            Self::RedisBehindFront | Self::RedisProtocol => (in_path("redis-server"), "apt-get install redis-server"),
            Self::PostgresqlBehindFront | Self::PostgresqlProtocol => {
                (postgresql_server::programs().is_some(), "apt-get install postgresql")
            }
            Self::RabbitmqRpc => {
                (Path::new(rabbitmq::PROGRAM).exists() && in_path("epmd"), "apt-get install rabbitmq-server")
            }
            Self::Wrk => (in_path("wrk"), "apt-get install wrk"),
        };
        (!is_there).then_some(install)
    }

    /// Starts all that it needs, with data below `dir`, measures, and stops it.
    ///
    /// # Errors
    /// Where something does not start, and at the first answer that is not what it should be.
    pub fn measure(self, dir: &Path, load: Load) -> anyhow::Result<Measured> {
        let count = RequestCount::for_span(load.span(), self.per_second_max());
        let stage = match self {
            Self::Mailbox => return mailbox::measure(load),
            Self::RabbitmqRpc => return rabbitmq::measure(dir, load),
            Self::Wrk => return Generator::Wrk.measure(load),
            Self::Loadgen => return Generator::Loadgen.measure(load),
            Self::Hyper => hyper_server::start(count),
            Self::Onrush => onrush_server::start(dir, count),
            Self::OnrushApart => onrush_server::start_apart(dir, count),
            Self::RedisBehindFront => redis_server::start_behind_front(dir, count),
            Self::RedisProtocol => redis_server::start(dir, count),
            Self::PostgresqlBehindFront => postgresql_server::start_behind_front(count),
            Self::PostgresqlProtocol => postgresql_server::start(count),
        };
        client::measure(&stage?, load)
    }

    /// More than it answers here: so many seats have to be there for a window.
    fn per_second_max(self) -> u32 {
        match self {
            Self::PostgresqlBehindFront | Self::PostgresqlProtocol => 40_000,
            _ => 110_000,
        }
    }
}

fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).exists())
}
