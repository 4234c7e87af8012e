import { SHELL_CANARIES } from '../../cluster-shell/canaries.ts';
import type { Program } from '../bundle.ts';
import type { Canary, Quarry } from './canary.ts';
import { EXPIRY_CANARIES } from './expiry-canaries.ts';
import { LEFT_OVER_CANARIES } from './left-over-canaries.ts';
import { RAFT_CANARIES } from './raft-canaries.ts';
import { STORAGE_CANARIES } from './storage-canaries.ts';
import { STREAM_CANARIES } from './stream-canaries.ts';
import { WORKLOAD_CANARIES } from './workload-canaries.ts';
import { WORLD_CANARIES } from './world-canaries.ts';

const noticedBy = (program: Program, canaries: readonly Canary[]): Quarry[] =>
  canaries.map(canary => ({ ...canary, program }));

export const CANARIES: readonly Quarry[] = [
  ...noticedBy('scripts/simulate.ts', [
    ...RAFT_CANARIES,
    ...STORAGE_CANARIES,
    ...WORLD_CANARIES,
    ...WORKLOAD_CANARIES,
    ...EXPIRY_CANARIES,
    ...STREAM_CANARIES,
    ...LEFT_OVER_CANARIES,
  ]),
  ...noticedBy('scripts/simulate-shell.ts', SHELL_CANARIES),
];
