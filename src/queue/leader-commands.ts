import { assert } from '../lib/assert.ts';
import type { Incarnation, NodeId } from '../lib/ids.ts';
import { type Check, CommandKind, type DecodedCommand, type NameRemoved } from './commands.ts';
import { pruneTombstones } from './deletion.ts';
import { dropUpload } from './enqueue.ts';
import { MACHINE_VERSION } from './limits.ts';
import { releaseSession } from './settlement.ts';
import type { ShardState } from './shard-state.ts';

/** Commands that only the shard's leader proposes. They have no session; their results stand in the effects. */
export function applyLeaderCommand(state: ShardState, command: DecodedCommand): void {
  switch (command.kind) {
    case CommandKind.fence:
      fence(state, command.node, command.incarnation);
      return;
    case CommandKind.continue:
      return;
    case CommandKind.check:
      check(state, command);
      return;
    case CommandKind.nameRemoved:
      nameRemoved(state, command);
      return;
    case CommandKind.setVersion:
      assert(command.version <= MACHINE_VERSION, () => `version ${command.version} is not supported by this build`);
      state.version = Math.max(state.version, command.version);
      return;
    default:
      assert(false, () => `command ${command.kind} from a leader`);
  }
}

function fence(state: ShardState, node: NodeId, incarnation: Incarnation): void {
  state.sessions.fence(node, incarnation);
  const ended = state.sessions
    .all()
    .filter(session => session.node === node && session.incarnation <= incarnation && !session.isEnded);
  for (const session of ended) {
    session.isEnded = true;
    session.outcomes = [];
    for (const upload of [...session.uploads.keys()]) dropUpload(state, session, upload);
    releaseSession(state, session);
  }
  pruneTombstones(state);
}

function check(state: ShardState, { index, hash }: Check): void {
  const own = state.hash.markOf(index);
  if (own && own.hash !== hash) state.effects.divergence = { index, leaderHash: hash, ownHash: own.hash };
}

function nameRemoved(state: ShardState, { queue, topologyIndex }: NameRemoved): void {
  state.tracker.touch(state.tombstones);
  state.tombstones.nameRemoved(queue, topologyIndex);
  pruneTombstones(state);
}
