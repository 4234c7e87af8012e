import type { ActionKind } from './action.ts';
import { advance } from './advance.ts';
import { burst, disconnectConsumer, fenceLiving } from './clients.ts';
import { failSync, hangDisk } from './disk-faults.ts';
import { checkpoint, hint, transfer } from './leadership.ts';
import { clog, heal, partition } from './network-faults.ts';
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
  partition,
  heal,
  clog,
  transfer,
  hint,
  checkpoint,
  disconnectConsumer,
  burst,
  fenceLiving,
];
