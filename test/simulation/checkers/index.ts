import type { Cluster } from '../cluster.ts';
import type { Checker } from './checker.ts';
import { CommitRuleChecker } from './commit-rule.ts';
import { ConservationChecker } from './conservation.ts';
import { CreditChecker } from './credit.ts';
import { DurabilityChecker } from './durability.ts';
import { EffectsChecker } from './effects.ts';
import { ElectionChecker } from './election.ts';
import { LedgerChecker } from './ledger.ts';
import { LogMatchingChecker } from './log-matching.ts';
import { MonotonicChecker } from './monotonic.ts';
import { ReplicaEqualityChecker } from './replica-equality.ts';

const CHECKERS: readonly (new (cluster: Cluster) => Checker)[] = [
  ElectionChecker,
  CommitRuleChecker,
  LogMatchingChecker,
  LedgerChecker,
  DurabilityChecker,
  MonotonicChecker,
  ConservationChecker,
  CreditChecker,
  EffectsChecker,
  ReplicaEqualityChecker,
];

export const createCheckers = (cluster: Cluster): Checker[] => CHECKERS.map(Kind => new Kind(cluster));
