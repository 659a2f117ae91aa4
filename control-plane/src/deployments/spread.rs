//! Which engine of a deployment each performance is to be at. Pure.

use std::collections::BTreeMap;

use onrush_engine::id::PerformanceId;

/// What has to move, in this order, and where to. `at` says where each performance is: at one of the deployment's engines, or,
/// with nothing, anywhere else. Every performance ends at one of those that `stay`, and none of these has two more than another.
/// No more moves than that takes.
pub(super) fn moves(at: &BTreeMap<PerformanceId, Option<u32>>, stay: &[u32]) -> Vec<(PerformanceId, u32)> {
    let mut have: BTreeMap<u32, Vec<PerformanceId>> = stay.iter().map(|engine| (*engine, Vec::new())).collect();
    let mut homeless = Vec::new();
    for (performance, engine) in at {
        match engine.and_then(|engine| have.get_mut(&engine)) {
            Some(there) => there.push(*performance),
            None => homeless.push(*performance),
        }
    }
    let mut moves = Vec::new();
    for performance in homeless {
        let Some((engine, there)) = have.iter_mut().min_by_key(|(engine, there)| (there.len(), **engine)) else {
            return moves;
        };
        there.push(performance);
        moves.push((performance, *engine));
    }
    while let Some((performance, engine)) = level(&mut have) {
        moves.push((performance, engine));
    }
    moves
}

/// One move from who has most to who has least, while that makes a difference. What came last goes first: the oldest
/// performances are those that are sold.
fn level(have: &mut BTreeMap<u32, Vec<PerformanceId>>) -> Option<(PerformanceId, u32)> {
    let (least, fewest) = have.iter().map(|(engine, there)| (*engine, there.len())).min_by_key(|(_, count)| *count)?;
    let (_, there) = have.iter_mut().max_by_key(|(_, there)| there.len())?;
    if there.len() < fewest + 2 {
        return None;
    }
    let performance = there.pop()?;
    have.entry(least).or_default().push(performance);
    Some((performance, least))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(places: &[(u64, Option<u32>)]) -> BTreeMap<PerformanceId, Option<u32>> {
        places.iter().map(|(performance, engine)| (PerformanceId(*performance), *engine)).collect()
    }

    fn after(places: &[(u64, Option<u32>)], stay: &[u32]) -> (usize, Vec<usize>) {
        let mut at = at(places);
        let moves = moves(&at, stay);
        for (performance, engine) in &moves {
            assert_ne!(at.insert(*performance, Some(*engine)), Some(Some(*engine)), "a move that moves nothing");
        }
        let count = |engine: &u32| at.values().filter(|place| **place == Some(*engine)).count();
        assert_eq!(stay.iter().map(count).sum::<usize>(), if stay.is_empty() { 0 } else { at.len() });
        (moves.len(), stay.iter().map(count).collect())
    }

    #[test]
    fn a_second_engine_gets_half() {
        assert_eq!(after(&[(1, Some(0)), (2, Some(0)), (3, Some(0)), (4, Some(0))], &[0, 1]), (2, vec![2, 2]));
        assert_eq!(after(&[(1, Some(0)), (2, Some(0)), (3, Some(0))], &[0, 1]), (1, vec![2, 1]));
        assert_eq!(after(&[(1, Some(0))], &[0, 1]), (0, vec![1, 0]), "one is as well here as there");
    }

    #[test]
    fn an_engine_that_goes_gives_all_away() {
        assert_eq!(after(&[(1, Some(0)), (2, Some(1)), (3, Some(0))], &[1]), (2, vec![3]));
        assert_eq!(after(&[(1, Some(0)), (2, Some(1)), (3, None)], &[2, 3]), (3, vec![2, 1]));
    }

    #[test]
    fn what_is_level_stays() {
        assert_eq!(after(&[(1, Some(0)), (2, Some(1)), (3, Some(1))], &[0, 1]).0, 0);
        assert_eq!(after(&[], &[0, 1]), (0, vec![0, 0]));
        assert_eq!(after(&[(1, None)], &[]), (0, vec![]));
    }
}
