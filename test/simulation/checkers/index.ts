import type { Cluster } from '../cluster.ts';
import { AcknowledgedChecker } from './acknowledged.ts';
import type { Checker } from './checker.ts';
import { CommitRuleChecker } from './commit-rule.ts';
import { ConservationChecker } from './conservation.ts';
import { CreditChecker } from './credit.ts';
import { DamageChecker } from './damage.ts';
import { DurabilityChecker } from './durability.ts';
import { EffectsChecker } from './effects.ts';
import { ElectionChecker } from './election.ts';
import { FencingChecker } from './fencing.ts';
import { LeadershipChecker } from './leadership.ts';
import { LedgerChecker } from './ledger.ts';
import { LogMatchingChecker } from './log-matching.ts';
import { MembershipChecker } from './membership.ts';
import { MonotonicChecker } from './monotonic.ts';
import { RebuildingChecker } from './rebuilding.ts';
import { ReclaimingChecker } from './reclaiming.ts';
import { ReplicaEqualityChecker } from './replica-equality.ts';
import { ShardTimeChecker } from './shard-time.ts';

const CHECKERS: readonly (new (cluster: Cluster) => Checker)[] = [
  ElectionChecker,
  MembershipChecker,
  LeadershipChecker,
  AcknowledgedChecker,
  CommitRuleChecker,
  LogMatchingChecker,
  LedgerChecker,
  DurabilityChecker,
  DamageChecker,
  MonotonicChecker,
  ConservationChecker,
  CreditChecker,
  EffectsChecker,
  FencingChecker,
  ShardTimeChecker,
  ReplicaEqualityChecker,
  RebuildingChecker,
  ReclaimingChecker,
];

export const createCheckers = (cluster: Cluster): Checker[] => CHECKERS.map(Kind => new Kind(cluster));
