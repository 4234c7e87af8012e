import { assert } from '../lib/assert.ts';
import type { NodeId } from '../lib/ids.ts';
import { reached } from '../lib/reached.ts';
import type { Core } from './core.ts';
import type { Entry } from './messages.ts';
import type { Progress } from './progress.ts';
import { ENTRY_HEAD_BYTES } from './raft-log.ts';

/**
 * Sends each peer what it can take now: called once per ready, so that everything proposed and answered in between
 * leaves in as few appends as possible.
 */
export function replicate(core: Core): void {
  for (const [peer, progress] of core.leadership!.peers) replicateTo(core, peer, progress);
}

function replicateTo(core: Core, peer: NodeId, progress: Progress): void {
  const { log } = core;
  if (progress.state === 'snapshot') {
    if (progress.offerDue) offerSnapshot(core, peer, progress);
  } else if (log.termAt(progress.next - 1) === undefined) {
    wantSnapshot(core, peer, progress);
  } else if (progress.state === 'probe') {
    if (!progress.probing && progress.fetching === undefined) sendNext(core, peer, progress);
  } else {
    while (progress.next <= log.last && !progress.inflight.full && progress.fetching === undefined) {
      if (!sendNext(core, peer, progress)) return;
    }
    const idle = progress.next > log.last && progress.inflight.count === 0;
    if (progress.repeatAnswer || (idle && progress.commitSent < log.commit)) sendAppend(core, peer, progress, []);
  }
}

/** False: no more can be sent before the driver has answered a fetch. */
function sendNext(core: Core, peer: NodeId, progress: Progress): boolean {
  const { log, options } = core;
  const entries = log.entries(progress.next, log.last, options.appendBytesMax);
  if (entries === undefined && progress.recentlyActive) {
    reached('raft.entries-fetched');
    progress.fetching = progress.next;
    const to = Math.min(log.cachedFirst - 1, log.last);
    core.fetches.push({ peer, from: progress.next, to, bytesMax: options.appendBytesMax });
    return false;
  }
  // A silent peer is worth no reading: one empty append asks whether it is back.
  if (entries === undefined) progress.becomeProbe(progress.next);
  sendAppend(core, peer, progress, entries ?? []);
  return entries !== undefined;
}

/** The entries are gone. A peer that does not answer gets no snapshot: it would keep one pinned for nothing. */
function wantSnapshot(core: Core, peer: NodeId, progress: Progress): void {
  if (progress.state !== 'probe') progress.becomeProbe();
  if (progress.snapshotWanted || !progress.recentlyActive) return;
  reached('raft.snapshot-wanted');
  progress.snapshotWanted = true;
  core.snapshotsWanted.push(peer);
}

function sendAppend(core: Core, peer: NodeId, progress: Progress, entries: readonly Entry[]): void {
  const index = progress.next - 1;
  const term = core.log.termAt(index);
  assert(term !== undefined, () => `append behind ${index}, which is not in the log`);
  let bytes = 0;
  for (const entry of entries) bytes += entry.payload.length;
  progress.sent(entries.length, bytes);
  progress.repeatAnswer = false;
  progress.commitSent = core.log.commit;
  core.send({
    type: 'append-request',
    from: core.id,
    to: peer,
    term: core.term,
    previous: { index, term },
    entries,
    commit: core.log.commit,
  });
}

/** The driver read what a fetch asked for. Late answers, and such that are not this log any more, are ignored. */
export function sendFetched(core: Core, peer: NodeId, entries: readonly Entry[]): void {
  const progress = core.leadership?.peers.get(peer);
  if (progress === undefined || progress.fetching === undefined) return;
  const first = entries[0];
  if (first === undefined) {
    reached('raft.fetch-failed');
    progress.becomeProbe();
    progress.probing = true;
    return;
  }
  if (first.index !== progress.fetching) return;
  progress.fetching = undefined;
  const { log } = core;
  if (first.index !== progress.next || log.termAt(first.index - 1) === undefined) {
    reached('raft.fetch-overtaken');
    return;
  }
  if (!entries.every((entry, at) => entry.index === first.index + at && log.holds(entry))) return;
  sendAppend(core, peer, progress, fitting(entries, core.options.appendBytesMax));
}

/** As many of them as one append takes, at least one: a driver may have read further than it was asked to. */
function fitting(entries: readonly Entry[], bytesMax: number): readonly Entry[] {
  let bytes = 0;
  for (let count = 0; count < entries.length; count++) {
    bytes += entries[count]!.payload.length + ENTRY_HEAD_BYTES;
    if (count > 0 && bytes > bytesMax) return entries.slice(0, count);
  }
  return entries;
}

function offerSnapshot(core: Core, peer: NodeId, progress: Progress): void {
  progress.offerDue = false;
  core.send({ type: 'snapshot-offer', from: core.id, to: peer, term: core.term, snapshot: progress.snapshot! });
}

/** Heartbeats name no commit index above what the peer is known to have, so they may overtake appends (Raft 5.2). */
export function sendHeartbeats(core: Core): void {
  const leadership = core.leadership!;
  leadership.heartbeatDue = false;
  leadership.heartbeatElapsed = 0;
  for (const [peer, progress] of leadership.peers) {
    core.send({
      type: 'heartbeat',
      from: core.id,
      to: peer,
      term: core.term,
      commit: Math.min(progress.match, core.log.commit),
      readRound: leadership.readRound,
    });
  }
}
