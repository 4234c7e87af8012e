import type { ActionKind } from './action.ts';
import { advance } from './advance.ts';
import {
  burst,
  cancelConsumer,
  deleteQueue,
  deleteUnderDyingLeader,
  disconnectConsumer,
  fenceLiving,
  purge,
  stopReading,
} from './clients.ts';
import { setAllClocks, setClock } from './clock-faults.ts';
import { damageDisk, failSync, fillDisk, hangDisk } from './disk-faults.ts';
import { repeatFence } from './fences.ts';
import { checkpoint, hint, transfer } from './leadership.ts';
import { addReplica, letGo, removeReplica, replaceReplica, wipe } from './membership.ts';
import { breakLink, clog, flap, heal, partition } from './network-faults.ts';
import { blackout, crash, crashLeader, crashNextLeader, pause, restart } from './process-faults.ts';

/** Every kind of action a plan is drawn from. */
export const ACTION_KINDS: readonly ActionKind[] = [
  advance,
  crash,
  crashLeader,
  crashNextLeader,
  blackout,
  restart,
  pause,
  failSync,
  hangDisk,
  fillDisk,
  damageDisk,
  partition,
  flap,
  heal,
  clog,
  breakLink,
  transfer,
  hint,
  checkpoint,
  disconnectConsumer,
  stopReading,
  cancelConsumer,
  burst,
  purge,
  deleteQueue,
  deleteUnderDyingLeader,
  fenceLiving,
  repeatFence,
  setClock,
  setAllClocks,
  addReplica,
  removeReplica,
  replaceReplica,
  letGo,
  wipe,
];
