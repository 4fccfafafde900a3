/** Calls of the table → methods. No logic: takes a call apart and hands on what the method wants. */

import type { AdminBody, AdminResult, AdminRouteName } from '../../shared/core/registration/admin-api.ts';
import type { DeviceBody, DeviceResult, DeviceRouteName } from '../../shared/core/registration/api.ts';
import type { DeviceRecord } from '../peers/store.ts';
import type { Caller } from './access.ts';
import type { Administration, PageRequest } from './administration.ts';
import { ApiProblem } from './api-problem.ts';
import type { DeviceMethods } from './device-methods.ts';
import type { FeedbackDesk } from './feedback-desk.ts';

export interface Call<Body> {
  readonly caller: Caller;
  readonly body: Body;
  /** The `:id` of the path. */
  readonly id: string;
  readonly page: PageRequest;
  /** 'address:port' that it came from; undefined where it came through the tunnel. */
  readonly source: string | undefined;
}

type Answer<Result> = Result | Promise<Result>;

export type ApiHandlers = {
  readonly [Name in DeviceRouteName]: (call: Call<DeviceBody<Name>>) => Answer<DeviceResult<Name>>;
} & {
  readonly [Name in AdminRouteName]: (call: Call<AdminBody<Name>>) => Answer<AdminResult<Name>>;
};

export function bindHandlers(
  devices: DeviceMethods,
  administration: Administration,
  feedback: FeedbackDesk,
): ApiHandlers {
  return {
    challenge: () => devices.challenge(),
    enrol: ({ body }) => devices.enrol(body),
    me: (call) => devices.me(deviceOf(call)),
    diagnosis: (call) => devices.diagnosis(deviceOf(call), call.source),
    rename: (call) => devices.rename(deviceOf(call), call.body.name),
    leave: async (call) => {
      await devices.leave(deviceOf(call));
      return undefined;
    },
    rotateKey: (call) => devices.rotateKey(deviceOf(call), call.body),
    openSession: (call) => devices.openSession(deviceOf(call), call.body),
    paths: (call) => devices.paths(deviceOf(call)),
    choosePath: (call) => devices.choosePath(deviceOf(call), call.body.path),
    chooseFamilies: (call) => devices.chooseFamilies(deviceOf(call), call.body.families),
    why: (call) => devices.why(deviceOf(call), call.body),
    tellNames: async (call) => {
      await devices.tellNames(deviceOf(call), call.body);
      return undefined;
    },
    tellOutside: (call) => {
      devices.tellOutside(deviceOf(call), call.body);
      return undefined;
    },
    config: (call) => devices.config(deviceOf(call)),
    directory: (call) => devices.directory(deviceOf(call)),
    sendFeedback: (call) => feedback.add(deviceOf(call), call.body),

    listDevices: ({ page }) => administration.devices(page),
    addDevice: (call) => administration.addStock(call.body, actorOf(call)),
    showDevice: ({ id }) => administration.device(id),
    editDevice: (call) => administration.edit(call.id, call.body, actorOf(call)),
    removeDevice: async (call) => {
      await administration.remove(call.id, actorOf(call));
      return undefined;
    },
    listInvites: () => administration.invites(),
    addInvite: (call) => administration.invite(call.body, actorOf(call)),
    removeInvite: async (call) => {
      await administration.removeInvite(call.id, actorOf(call));
      return undefined;
    },
    listAdminKeys: () => administration.adminKeys(),
    addAdminKey: (call) => administration.addAdminKey(call.body, actorOf(call)),
    removeAdminKey: async (call) => {
      await administration.removeAdminKey(call.id, actorOf(call));
      return undefined;
    },
    audit: ({ page }) => administration.audit(page),
    listFeedback: () => feedback.list(),
    showFeedback: ({ id }) => feedback.show(id),
    removeFeedback: async (call) => {
      await feedback.remove(call.id, actorOf(call));
      return undefined;
    },
  };
}

function deviceOf(call: Call<unknown>): DeviceRecord {
  if (call.caller.kind !== 'device') throw new ApiProblem('unauthorized');
  return call.caller.device;
}

function actorOf(call: Call<unknown>): string {
  if (call.caller.kind !== 'admin') throw new ApiProblem('unauthorized');
  return `admin:${call.caller.key.id}`;
}
