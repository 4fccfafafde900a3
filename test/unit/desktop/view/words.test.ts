// The catalogues: complete, plain, honest; and what others see, told for every state.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Snapshot } from '../../../../desktop/bridge/ipc.ts';
import { sightsOf } from '../../../../desktop/view/sights.ts';
import { english } from '../../../../desktop/view/texts/english.ts';
import { german } from '../../../../desktop/view/texts/german.ts';
import { catalogueFor, failureWords, healthWords } from '../../../../desktop/view/texts/language.ts';
import { pseudoText } from '../../../../desktop/view/texts/pseudo.ts';
import { texts } from '../../../../shared/core/control/texts.ts';
import { scenes } from '../../../desktop/support/scenes.ts';

const view = fileURLToPath(new URL('../../../../desktop/view/', import.meta.url));

/** 'home.modes.proxy.0' for every sentence. */
function keysOf(value: unknown, path = ''): string[] {
  if (typeof value === 'string' || typeof value === 'function') return [path];
  return Object.entries(value as object).flatMap(([name, part]) => keysOf(part, `${path}.${name}`));
}

describe('German', () => {
  test('says everything that English says', () => {
    const spoken = keysOf(german).filter((key) => !/^\.(states|proxyStates)\./.test(key));

    expect(spoken.toSorted()).toEqual(keysOf(english).toSorted());
  });

  test('knows every state of the daemon', () => {
    expect(Object.keys(german.states ?? {}).toSorted()).toEqual(Object.keys(texts).toSorted());
  });

  test('keeps headings short enough for two lines', () => {
    const all = [...Object.values(german.states ?? {}), ...Object.values(german.window)];

    for (const { heading } of all) expect(heading.length).toBeLessThanOrEqual(45);
  });
});

describe('the language of the window', () => {
  test.each<readonly ['system' | 'en' | 'de' | undefined, string, string]>([
    ['system', 'de-AT', 'de-AT'],
    ['en', 'en-GB', 'en-GB'],
    ['system', 'de-$', 'de'],
    ['en', 'de-AT', 'en'],
    ['de', 'en-GB', 'de'],
    [undefined, 'fr-FR', 'en'],
  ])('is, for choice %s on a computer that speaks %s, %s', (choice, system, tag) => {
    expect(catalogueFor(choice, system).tag).toBe(tag);
  });

  test('can be one that nobody speaks, longer by four tenths', () => {
    const pseudo = catalogueFor('system', 'en-XA');

    expect(pseudo.back).toBe(pseudoText('Back'));
    expect(pseudo.sees.who('here')).toMatch(/^\[/);
    expect(pseudoText('x'.repeat(100)).length).toBeGreaterThanOrEqual(140);
  });

  test('takes the words of the daemon for problems that it does not know', () => {
    const item = { code: 'new-one', severity: 'warning', text: 'Odd.', remedy: 'Wait.' } as const;

    expect(healthWords(german, item)).toEqual(['Odd.', 'Wait.']);
    expect(failureWords(german, { ok: false, code: 'bad-usage', text: 'No.', remedy: 'Yes.' })).toEqual([
      'No.',
      'Yes.',
    ]);
    expect(failureWords(german, { ok: false, code: 'bad-usage' })[0]).toBe(german.failed);
    expect(failureWords(german, { ok: false, code: 'bad-invite', text: 'x' })[0]).toContain('Einladung');
  });
});

describe('components', () => {
  test('hold no sentence of their own', () => {
    const files = readdirSync(view, { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.tsx'),
    );
    const spoken = files.flatMap((name) => {
      const code = readFileSync(`${view}${name}`, 'utf8').replaceAll(/^\s*\/\/.*$|\/\*[\s\S]*?\*\//gm, '');
      const between = [...code.matchAll(/>\s*([A-Za-z][a-z]+(?: [a-z]+)+)[.!?]?\s*</g)].map(
        ([, text]) => text,
      );
      const attributes = [...code.matchAll(/(?:aria-label|title|alt|legend|label|hint)="([^"]+)"/g)].map(
        ([, text]) => text,
      );
      return [...between, ...attributes].map((text) => `${name}: ${text}`);
    });

    expect(files.length).toBeGreaterThan(8);
    expect(spoken).toEqual([]);
  });

  test('have no inline style, which the policy of the page would stop', () => {
    const files = readdirSync(view, { recursive: true, encoding: 'utf8' }).filter((name) =>
      /\.(tsx|html)$/.test(name),
    );

    for (const name of files)
      expect(readFileSync(`${view}${name}`, 'utf8')).not.toMatch(/\sstyle=|dangerously|innerHTML/);
  });
});

describe('what others see', () => {
  test.each<readonly [string, string, string]>([
    ['off', 'visible', 'visible'],
    ['trusted', 'visible', 'visible'],
    ['connected', 'hidden', 'hidden'],
    ['noticed', 'partly', 'partly'],
    ['proxy', 'partly', 'partly'],
    ['split', 'partly', 'partly'],
    ['names', 'partly', 'visible'],
    ['blocked', 'hidden', 'hidden'],
    ['no-service', 'unknown', 'unknown'],
    ['disconnecting', 'visible', 'visible'],
  ])('is told without a promise too much: in %s names are %s, addresses %s', (name, names, addresses) => {
    const sights = sightsOf(scenes[name] as Snapshot);

    expect([sights.names, sights.addresses, sights.amount]).toEqual([names, addresses, 'visible']);
  });
});
