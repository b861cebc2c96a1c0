//! NUMA nodes of this machine and workers pinned to them. Unproven where there is one node only.

use std::str::FromStr;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::{Error, Result};

/// Where workers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Numa {
    /// Wherever the kernel puts them.
    #[default]
    Off,
    /// Worker `w` on node `w` modulo the number of nodes.
    Spread,
    /// All on the first node.
    Node,
}

impl FromStr for Numa {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "off" => Ok(Self::Off),
            "spread" => Ok(Self::Spread),
            "node" => Ok(Self::Node),
            other => Err(Error::setting("--numa", format!("{other:?} is not one of off, spread, node"))),
        }
    }
}

/// CPUs of each node that this process may use; one entry where the kernel shows no nodes.
#[must_use]
pub fn nodes() -> Vec<Vec<usize>> {
    let allowed = sched_getaffinity(None).ok();
    let is_allowed = |cpu: &usize| allowed.as_ref().is_none_or(|set| set.is_set(*cpu));
    let mut nodes = Vec::new();
    for number in 0.. {
        let path = format!("/sys/devices/system/node/node{number}/cpulist");
        let Ok(text) = std::fs::read_to_string(path) else { break };
        let cpus: Vec<usize> = cpu_list(&text).into_iter().filter(is_allowed).collect();
        if !cpus.is_empty() {
            nodes.push(cpus);
        }
    }
    if nodes.is_empty() { vec![Vec::new()] } else { nodes }
}

/// Pin the calling thread as worker `worker`; returns its node.
pub fn place(numa: Numa, worker: usize, nodes: &[Vec<usize>]) -> Result<usize> {
    let node = match numa {
        Numa::Off => return Ok(0),
        Numa::Spread => worker % nodes.len(),
        Numa::Node => 0,
    };
    if nodes[node].is_empty() {
        return Ok(0);
    }
    let mut set = CpuSet::new();
    nodes[node].iter().for_each(|&cpu| set.set(cpu));
    let refused =
        |error| Error::setting("--numa", format!("worker {worker} cannot be pinned to node {node}: {error}"));
    sched_setaffinity(None, &set).map_err(refused)?;
    Ok(node)
}

/// Parse the kernel's form of a set: `0-3,8,10-11`.
pub(crate) fn cpu_list(text: &str) -> Vec<usize> {
    let mut cpus = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<usize>(), last.parse::<usize>()) {
            cpus.extend(first..=last);
        }
    }
    cpus
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists_are_read_as_the_kernel_writes_them() {
        assert_eq!(vec![0, 1, 2, 8, 10, 11], cpu_list("0-2,8,10-11\n"));
        assert!(cpu_list("\n").is_empty());
    }

    #[test]
    fn every_worker_finds_a_node() {
        let nodes = nodes();
        for numa in [Numa::Off, Numa::Spread, Numa::Node] {
            let node = std::thread::scope(|s| s.spawn(|| place(numa, 5, &nodes)).join().expect("no panic"));
            assert!(node.expect("allowed cpus") < nodes.len());
        }
    }
}
