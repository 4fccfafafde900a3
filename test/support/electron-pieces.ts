// Pieces of the stand-in for Electron that its windows need, too.
import type { EventEmitter } from 'node:events';
import type * as Electron from 'electron';

export interface Sender {
  readonly contentsId: number;
  readonly origin: string;
  readonly isChildFrame?: boolean;
  readonly isGone?: boolean;
}

/** Of what is not there, nothing can be read: a new use of Electron has to be thought about here first. */
export function only<Part extends object>(name: string, part: Part): Part {
  return new Proxy(part, {
    get: (target, key) => {
      if (typeof key === 'symbol' || key in target) return Reflect.get(target, key) as unknown;
      throw new Error(`The stand-in for Electron has no ${name}.${key}`);
    },
  });
}

export function emitter(events: EventEmitter): Pick<EventEmitter, 'on' | 'once' | 'off'> {
  return {
    on: (name, listener) => events.on(name, listener),
    once: (name, listener) => events.once(name, listener),
    off: (name, listener) => events.off(name, listener),
  };
}

export function eventFrom({ contentsId, origin, isChildFrame, isGone }: Sender): Electron.IpcMainInvokeEvent {
  const parent = isChildFrame === true ? {} : null;
  const senderFrame =
    isGone === true ? null : only('senderFrame', { parent, origin, url: `${origin}/page.html` });
  return {
    sender: only('sender', { id: contentsId }),
    senderFrame,
  } as unknown as Electron.IpcMainInvokeEvent;
}
