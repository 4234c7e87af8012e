import type { AccessAdministration } from './access/administration.ts';
import type { Broker, BrokerConnection, BrokerIdentity, ConnectionListener, ConnectRequest, Result } from './broker.ts';
import type { BrokerError } from './broker-error.ts';
import type { BrokerService } from './broker-service.ts';

/**
 * The broker as the protocol adapters know it for the life of the process. Behind it stands the service of the node's
 * present incarnation; between two incarnations nobody is let in (R24).
 */
export class BrokerFacade implements Broker {
  readonly identity: BrokerIdentity;
  #service: BrokerService | undefined;
  #administration: AccessAdministration | undefined;

  constructor(identity: BrokerIdentity) {
    this.identity = identity;
  }

  get service(): BrokerService | undefined {
    return this.#service;
  }

  /** Undefined while the node has no place in the cluster. */
  get administration(): AccessAdministration | undefined {
    return this.#administration;
  }

  serve(service: BrokerService | undefined, administration?: AccessAdministration): void {
    this.#service = service;
    this.#administration = administration;
  }

  authenticate(user: string, password: string, peerAddress: string): BrokerError | undefined {
    return this.#service === undefined ? NOT_READY : this.#service.authenticate(user, password, peerAddress);
  }

  connect(request: ConnectRequest, listener: ConnectionListener): Promise<Result<BrokerConnection>> {
    if (this.#service === undefined) return Promise.resolve({ ok: false, error: NOT_READY });
    return this.#service.connect(request, listener);
  }
}

const NOT_READY: BrokerError = { code: 'unavailable', text: 'this node has no place in the cluster at the moment' };
