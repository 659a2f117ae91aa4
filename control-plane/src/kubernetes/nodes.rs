//! A cluster's nodes, as the API tells of machines. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Node as ClusterNode;
use onrush_api::usage::Node;

/// A node, with how many engines each has. A cluster does not say how busy its nodes are.
pub(crate) fn describe(node: &ClusterNode, engines: &BTreeMap<String, u32>) -> Node {
    let name = node.metadata.name.clone().unwrap_or_default();
    let amount = |resource: &str| {
        let status = node.status.as_ref()?;
        let quantity = status.capacity.as_ref()?.get(resource)?;
        bytes(&quantity.0)
    };
    Node {
        engines: engines.get(&name).copied().unwrap_or(0),
        cores: amount("cpu").and_then(|cores| u32::try_from(cores).ok()).unwrap_or(0),
        memory_bytes: amount("memory").unwrap_or(0),
        disk_bytes: amount("ephemeral-storage").unwrap_or(0),
        load_1m: None,
        load_5m: None,
        memory_available_bytes: None,
        disk_free_bytes: None,
        name,
    }
}

/// A quantity of Kubernetes' (`16Gi`, `3800m`, `4`), rounded down.
fn bytes(quantity: &str) -> Option<u64> {
    let end = quantity.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(quantity.len());
    let (number, unit) = quantity.split_at(end);
    let number: u64 = number.parse().ok()?;
    let factor = match unit {
        "" => 1,
        "m" => return Some(number / 1_000),
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_says_what_it_has() {
        let node = json!({
            "metadata": {"name": "one"},
            "status": {"capacity": {"cpu": "4", "memory": "16374Mi", "ephemeral-storage": "100Gi"}},
        });
        let described = describe(&serde_json::from_value(node).unwrap(), &[("one".to_owned(), 3)].into());
        assert_eq!((described.name.as_str(), described.cores, described.engines), ("one", 4, 3));
        assert_eq!((described.memory_bytes, described.disk_bytes), (16_374 << 20, 100 << 30));
        assert_eq!(described.load_1m, None);
    }

    #[test]
    fn quantities_are_those_of_kubernetes() {
        let known = [("7", 7), ("3800m", 3), ("2k", 2_000), ("1Ti", 1 << 40)];
        known.into_iter().for_each(|(text, number)| assert_eq!(bytes(text), Some(number), "{text}"));
        ["", "Gi", "1.5Gi", "1Zi", "-1"].into_iter().for_each(|text| assert_eq!(bytes(text), None, "{text}"));
    }
}
