//! Deployments on Kubernetes: what is asked for as a custom resource, the objects that a show comes to (pure), and the calls that
//! are made to a cluster.

pub mod cluster;
mod companions;
pub mod controller;
pub mod election;
pub mod manifests;
mod mirror;
pub(crate) mod nodes;
pub mod readings;
pub mod resource;
