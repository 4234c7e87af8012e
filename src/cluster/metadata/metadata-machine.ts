import type { AccessCommand } from '../../broker/access/access-commands.ts';
import { AccessControl, type AccessView } from '../../broker/access/access-control.ts';
import { INITIAL_ACCESS } from '../../broker/access/initial-access.ts';
import type { Result } from '../../broker/broker.ts';
import type { BrokerError } from '../../broker/broker-error.ts';
import { DEFAULT_VHOST, withoutLineBreaks } from '../../broker/names.ts';
import { Topology, type TopologyView } from '../../broker/topology.ts';
import type { NodeStart, QueueHome, TopologyChange } from '../../broker/topology-records.ts';
import { assert, unreachable } from '../../lib/assert.ts';
import { type GroupId, type Incarnation, incarnation, type LogIndex, type NodeId } from '../../lib/ids.ts';
import type { Checkpointable, CheckpointCut, CheckpointScope, Page } from '../../raft/checkpoint.ts';
import type { EntryId } from '../../raft/messages.ts';
import type { ApplyMeta, StateMachine } from '../../raft/state-machine.ts';
import { MemberList, type MemberListView } from './member-list.ts';
import { decodePayload } from './metadata-command-codec.ts';
import type {
  Bootstrap,
  DeclareQueueCommand,
  Join,
  MetadataCommand,
  MetadataRequest,
  RegisterStart,
  SetShardReplicas,
  UpdateAddress,
} from './metadata-commands.ts';
import { MetadataPages, type MetadataState } from './metadata-pages.ts';
import type { FencedStarts, MetadataAnswer, MetadataEffects, MetadataReply } from './metadata-replies.ts';
import { chooseShard } from './placement.ts';
import { RequestSessions } from './request-sessions.ts';
import { ShardMap, type ShardMapView } from './shard-map.ts';
import { continueVhostRemoval } from './vhost-removal.ts';

/** Queues that one request ends because their node is gone: the leader has the rest ended by further ones (R10, R21). */
const QUEUES_ENDED_PER_STEP = 400;

const DONE: MetadataReply = { kind: 'done' };
const FENCED: MetadataReply = { kind: 'fenced' };

/** All pages of a checkpoint, in any order, and its last entry's index. */
export interface RestoredMetadata {
  readonly pages: readonly Page[];
  readonly at: LogIndex;
}

/** Group 0: the cluster's members, its shards, and what its clients declared. Readable at any time between two entries. */
export class MetadataMachine implements StateMachine<MetadataEffects>, Checkpointable {
  #state: MetadataState;
  #pages: MetadataPages;
  /** Of the topology's queues that live in shards; follows from it. */
  readonly #queuesInShard = new Map<GroupId, number>();
  #applied: LogIndex = 0;
  #changes: TopologyChange[] = [];
  #fenced: FencedStarts[] = [];
  #membersChanged = false;
  #shardsChanged = false;
  #accessChanged = false;

  /** Empty, or as it was at a checkpoint or snapshot. */
  constructor(restored?: RestoredMetadata) {
    const topology = new Topology({ beforeChange: change => this.#beforeTopologyChange(change) });
    const access = new AccessControl({ beforeAccessChange: bucket => this.#beforeAccessChange(bucket) });
    this.#state = {
      clusterId: '',
      members: new MemberList(),
      shards: new ShardMap(),
      topology,
      access,
      sessions: new RequestSessions(),
    };
    this.#pages = new MetadataPages(this.#state);
    if (restored === undefined) {
      this.#pages.begin();
      return;
    }
    this.#fill(restored);
  }

  /**
   * Takes the state of a snapshot in place of its own. The topology stays the same object. What is returned is as if
   * entries had done it, as far as somebody must act: queues that are gone, and incarnations that were fenced.
   */
  replace(restored: RestoredMetadata): MetadataEffects {
    const { topology, access, members } = this.#state;
    const queues = topology.queues();
    topology.clear();
    access.clear();
    this.#state = {
      clusterId: '',
      members: new MemberList(),
      shards: new ShardMap(),
      topology,
      access,
      sessions: new RequestSessions(),
    };
    this.#pages = new MetadataPages(this.#state);
    this.#queuesInShard.clear();
    this.#fill(restored);
    const removed = queues.filter(queue => topology.queueById(queue.id) === undefined);
    const fenced = this.#state.members
      .all()
      .map(({ id, fencedThrough }) => ({ node: id, through: incarnation(fencedThrough) }))
      .filter(({ node, through }) => through > members.fencedThrough(node));
    return {
      answers: [],
      changes: removed.map(queue => ({ kind: 'queue-removed', queue })),
      fenced,
      membersChanged: true,
      shardsChanged: true,
      accessChanged: true,
    };
  }

  get applied(): LogIndex {
    return this.#applied;
  }

  /** Undefined before the cluster is formed. */
  get clusterId(): string | undefined {
    return this.#state.clusterId === '' ? undefined : this.#state.clusterId;
  }

  get members(): MemberListView {
    return this.#state.members;
  }

  get shards(): ShardMapView {
    return this.#state.shards;
  }

  get topology(): TopologyView {
    return this.#state.topology;
  }

  get access(): AccessView {
    return this.#state.access;
  }

  queuesInShard(group: GroupId): number {
    return this.#queuesInShard.get(group) ?? 0;
  }

  /** Shard leaders fence these incarnations of the node; 0 if none (R24). */
  fencedThrough(node: NodeId): number {
    return this.#state.members.fencedThrough(node);
  }

  /** Fenced starts of nodes whose queues are still named: to be expired again until there are none. Ascending. */
  startsToEnd(): NodeStart[] {
    const { members, topology } = this.#state;
    return topology
      .queueHosts()
      .filter(start => start.incarnation <= members.fencedThrough(start.node))
      .sort((a, b) => a.node - b.node || a.incarnation - b.incarnation);
  }

  cut(scope: CheckpointScope, at: EntryId): CheckpointCut {
    assert(at.index >= this.#applied, () => `a cut at ${at.index} while ${this.#applied} is applied`);
    return this.#pages.cut(scope, at);
  }

  apply(meta: ApplyMeta, payload: Uint8Array): MetadataEffects {
    assert(meta.index > this.#applied, () => `entry ${meta.index} after ${this.#applied}`);
    this.#changes = [];
    this.#fenced = [];
    this.#membersChanged = false;
    this.#shardsChanged = false;
    this.#accessChanged = false;
    const answers: MetadataAnswer[] = decodePayload(payload).map(request => ({
      id: request.id,
      reply: this.#answer(request),
    }));
    this.#applied = meta.index;
    return {
      answers,
      changes: this.#changes,
      fenced: this.#fenced,
      membersChanged: this.#membersChanged,
      shardsChanged: this.#shardsChanged,
      accessChanged: this.#accessChanged,
    };
  }

  #fill(restored: RestoredMetadata): void {
    this.#pages.restore(restored.pages);
    for (const queue of this.#state.topology.queues()) this.#countQueue(queue.home, 1);
    this.#applied = restored.at;
  }

  #answer({ id, command }: MetadataRequest): MetadataReply {
    if (id === undefined) return this.#execute(command);
    if (!this.#state.members.isCurrent(id)) return FENCED;
    this.#pages.beforeSessionChange(id.node);
    const known = this.#state.sessions.receive(id);
    if (known !== undefined) return known;
    const reply = this.#execute(command);
    this.#state.sessions.record(id, reply);
    return reply;
  }

  #execute(command: MetadataCommand): MetadataReply {
    const { topology, access } = this.#state;
    // Whoever asks is on the way out of the vhost.
    if ('vhost' in command && access.vhost(command.vhost)?.isLeaving) {
      return refused({ code: 'no-vhost', vhost: command.vhost });
    }
    switch (command.kind) {
      case 'bootstrap':
        return this.#bootstrap(command);
      case 'register-start':
        return this.#registerStart(command);
      case 'expire-incarnation':
        if (this.#state.members.isCurrent(command)) this.#fence(command.node, command.incarnation);
        else this.#endQueues(command.node);
        return DONE;
      case 'join':
        return this.#join(command);
      case 'update-address':
        return this.#updateAddress(command);
      case 'set-shard-replicas':
        return this.#setShardReplicas(command);
      case 'change-access':
        return this.#changeAccess(command.change);
      case 'declare-exchange':
        return replyTo(topology.declareExchange(command));
      case 'delete-exchange':
        return replyTo(topology.deleteExchange(command));
      case 'declare-queue':
        return this.#declareQueue(command);
      case 'bind':
        return replyTo(topology.bind(command));
      case 'unbind':
        return replyTo(topology.unbind(command));
      case 'remove-queue':
        topology.removeQueue(command.queue);
        return DONE;
      case 'connection-closed':
        for (const queue of topology.queuesOf(command, command.connection)) topology.removeQueue(queue.id);
        return DONE;
      default:
        return unreachable(command);
    }
  }

  #bootstrap({ clusterId, members, shards }: Bootstrap): MetadataReply {
    const state = this.#state;
    if (state.clusterId !== '') {
      if (state.clusterId === clusterId) return DONE;
      return refused({ code: 'access-refused', text: `this is cluster ${state.clusterId} already` });
    }
    for (const part of ['cluster', 'members', 'shards'] as const) this.#pages.beforeClusterChange(part);
    state.clusterId = clusterId;
    for (const member of members) state.members.add(member, member.id);
    for (const shard of shards) state.shards.set(shard);
    state.topology.declareVhost(DEFAULT_VHOST);
    for (const record of INITIAL_ACCESS) state.access.put(record);
    this.#membersChanged = true;
    this.#shardsChanged = true;
    return DONE;
  }

  #registerStart({ node, directoryId, token }: RegisterStart): MetadataReply {
    const { members, sessions } = this.#state;
    const member = members.get(node);
    if (member === undefined || member.directoryId !== directoryId || member.replacedBy !== undefined) {
      return refused({ code: 'access-refused', text: `node ${node} with directory ${directoryId} is no member` });
    }
    this.#pages.beforeClusterChange('members');
    const given = members.start(node, token);
    const isNew = given > member.lastIncarnation;
    if (isNew) {
      if (member.lastIncarnation > member.fencedThrough) this.#fence(node, incarnation(member.lastIncarnation));
      this.#pages.beforeSessionChange(node);
      sessions.begin(node, given);
      this.#membersChanged = true;
    }
    return { kind: 'started', incarnation: given };
  }

  #join(participant: Join): MetadataReply {
    const { members } = this.#state;
    if (this.#state.clusterId === '') return refused({ code: 'unavailable', text: 'the cluster is not formed yet' });
    const known = members.participant(participant.name, participant.directoryId);
    if (known?.replacedBy !== undefined) {
      const text = `directory ${participant.directoryId} of node '${participant.name}' was replaced by another`;
      return refused({ code: 'access-refused', text });
    }
    this.#pages.beforeClusterChange('members');
    this.#membersChanged = true;
    if (known !== undefined) {
      members.updateAddress(known.id, participant.address);
      return { kind: 'joined', node: known.id };
    }
    const old = members.named(participant.name);
    if (old === undefined) return { kind: 'joined', node: members.add(participant).id };
    if (old.lastIncarnation > old.fencedThrough) this.#fence(old.id, incarnation(old.lastIncarnation));
    return { kind: 'joined', node: members.replace(old, participant).id };
  }

  #updateAddress({ node, address }: UpdateAddress): MetadataReply {
    if (this.#state.members.get(node) === undefined) return noMember(node);
    this.#pages.beforeClusterChange('members');
    this.#state.members.updateAddress(node, address);
    this.#membersChanged = true;
    return DONE;
  }

  #setShardReplicas({ group, replicas, preferredLeader }: SetShardReplicas): MetadataReply {
    const stranger = replicas.find(replica => this.#state.members.get(replica) === undefined);
    if (stranger !== undefined) return noMember(stranger);
    if (!replicas.includes(preferredLeader)) {
      return refused({ code: 'invalid', text: `node ${preferredLeader} is to lead shard ${group} without a replica` });
    }
    this.#pages.beforeClusterChange('shards');
    this.#state.shards.set({ group, replicas, preferredLeader });
    this.#shardsChanged = true;
    return DONE;
  }

  #declareQueue(command: DeclareQueueCommand): MetadataReply {
    const { members, topology, shards } = this.#state;
    // A volatile queue of an incarnation that is gone would never end.
    if (!members.isCurrent(command.owner)) return FENCED;
    const tooMany = this.#checkQueueLimit(command);
    if (tooMany !== undefined) return refused(tooMany);
    const result = topology.declareQueue(command, (): Result<QueueHome> => {
      const group = chooseShard(shards.list(), this.#queuesInShard, command.preferredShard);
      if (group !== undefined) return { ok: true, value: { kind: 'shard', group } };
      return { ok: false, error: { code: 'unavailable', text: 'the cluster has no shard' } };
    });
    return result.ok ? { kind: 'queue-declared', ...result.value } : refused(result.error);
  }

  /** The incarnation and all before it: what lives with them ends (R4, R24). */
  #fence(node: NodeId, through: Incarnation): void {
    const { members, sessions } = this.#state;
    this.#pages.beforeClusterChange('members');
    members.fence(node, through);
    this.#endQueues(node);
    this.#pages.beforeSessionChange(node);
    sessions.end(node);
    this.#membersChanged = true;
    this.#fenced.push({ node, through });
  }

  #endQueues(node: NodeId): void {
    const { topology } = this.#state;
    let left = QUEUES_ENDED_PER_STEP;
    for (const start of this.startsToEnd()) {
      if (start.node !== node) continue;
      for (const queue of topology.queuesOf(start).slice(0, left)) {
        topology.removeQueue(queue.id);
        left--;
      }
    }
  }

  #changeAccess(change: AccessCommand): MetadataReply {
    const { access, topology } = this.#state;
    if (change.kind === 'continue-vhost-removal') {
      continueVhostRemoval(change.vhost, access, topology);
      return DONE;
    }
    const result = access.apply(change);
    if (result.ok && change.kind === 'put-vhost') topology.declareVhost(change.vhost);
    return replyTo(result);
  }

  /** Of queues that are new; in RabbitMQ's words. */
  #checkQueueLimit({ vhost, name }: DeclareQueueCommand): BrokerError | undefined {
    const { access, topology } = this.#state;
    const queuesMax = access.vhost(vhost)?.limits.queuesMax;
    if (queuesMax === undefined || topology.queueCountIn(vhost) < queuesMax) return undefined;
    if (topology.queue(vhost, withoutLineBreaks(name)) !== undefined) return undefined;
    const text = `cannot declare queue '${name}': queue limit in vhost '${vhost}' (${queuesMax}) is reached`;
    return { code: 'invalid', text };
  }

  #beforeAccessChange(bucket: number): void {
    this.#pages.beforeAccessChange(bucket);
    this.#accessChanged = true;
  }

  #beforeTopologyChange(change: TopologyChange): void {
    this.#pages.beforeTopologyChange(change);
    this.#changes.push(change);
    if (change.kind === 'queue-declared') this.#countQueue(change.queue.home, 1);
    if (change.kind === 'queue-removed') this.#countQueue(change.queue.home, -1);
  }

  #countQueue(home: QueueHome, by: 1 | -1): void {
    if (home.kind === 'shard') this.#queuesInShard.set(home.group, this.queuesInShard(home.group) + by);
  }
}

const refused = (error: BrokerError): MetadataReply => ({ kind: 'refused', error });
const noMember = (node: NodeId): MetadataReply => refused({ code: 'invalid', text: `node ${node} is no member` });
const replyTo = (result: Result<unknown>): MetadataReply => (result.ok ? DONE : refused(result.error));
