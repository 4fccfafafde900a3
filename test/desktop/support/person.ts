/** A person at a window of the app, with a browser of its own: what they press, and what the window asks main for. */

import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll } from 'vitest';
import type { Snapshot } from '../../../desktop/bridge/ipc.ts';
import { buildView } from '../../../desktop/build/build-view.ts';
import { scenes } from './scenes.ts';
import { launch, ViewWindow } from './window.ts';

export interface Asked {
  readonly name: string;
  readonly fields: unknown;
}

export class Person {
  /** Ends with each test. */
  window!: ViewWindow;
  readonly #folder: string;
  readonly #questions: readonly string[];
  #browser: Browser | undefined;

  constructor(folder: string, questions: readonly string[]) {
    this.#folder = folder;
    this.#questions = questions;
  }

  /**
   * One for the tests of a suite; call inside it. `title` names the folder that the window is built into, `questions` are
   * those that screens ask by themselves.
   */
  static forSuite(title: string, questions: readonly string[], timeout: number): Person {
    const folder = fileURLToPath(new URL(`../../../dist/desktop/app-for-${title}/`, import.meta.url));
    const person = new Person(folder, questions);
    beforeAll(async () => {
      await buildView(folder);
      person.#browser = await launch();
    }, timeout);
    afterEach(async () => person.window.close());
    afterAll(async () => person.#browser?.close());
    return person;
  }

  async open(scene: string): Promise<void> {
    if (this.#browser === undefined) throw new Error('the suite has begun');
    this.window = await ViewWindow.open(this.#browser, this.#folder, scenes[scene] as Snapshot);
  }

  /** What the window asked for because of the person. */
  async asked(): Promise<readonly Asked[]> {
    await this.window.settle();
    return (await this.window.sent()).filter(({ name }) => !this.#questions.includes(name));
  }

  async press(...keys: readonly string[]): Promise<void> {
    for (const key of keys) await this.window.page.keyboard.press(key);
    await this.window.settle();
  }
}
