//! Deployments on Kubernetes: what is asked for as a custom resource, and the objects that a show comes to. Pure; nothing here
//! talks to a cluster.

pub mod manifests;
pub mod resource;
