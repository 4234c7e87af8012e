import { DEFAULT_VHOST } from '../names.ts';
import { type AccessRecord, NO_USER_LIMITS, NO_VHOST_LIMITS } from './access-records.ts';

export const GUEST = 'guest';
const ALL = '.*';

/** What a new cluster begins with, as RabbitMQ does: vhost `/`, and user guest with password guest, an administrator. */
export const INITIAL_ACCESS: readonly AccessRecord[] = [
  {
    kind: 'vhost',
    vhost: DEFAULT_VHOST,
    description: 'Default virtual host',
    tags: [],
    limits: NO_VHOST_LIMITS,
    isLeaving: false,
  },
  {
    kind: 'user',
    user: GUEST,
    // The password is known to everybody, so its salt need not be random: every replica computes the same state.
    password: { hashing: 'rabbit_password_hashing_sha256', hash: 'd2Fycg/mEkHejBhwT2TESLC0I72WJK5djSfz+byMJddMQLtL' },
    tags: ['administrator'],
    limits: NO_USER_LIMITS,
  },
  { kind: 'permission', user: GUEST, vhost: DEFAULT_VHOST, configure: ALL, write: ALL, read: ALL },
];
