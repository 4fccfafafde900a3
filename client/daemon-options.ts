/** What a daemon is started with. Apart from daemon.ts, which only main.ts may import. */

export interface DaemonOptions {
  readonly stateDir: string;
  readonly socket: string;
  /** The system's daemon: others may look, the group culvert may command. */
  readonly isSystem: boolean;
  /** Called once the sockets exist. */
  readonly onReady: () => void;
}
