// The parts of the desktop that exist so far: the rules of its window, and its sentences.
import { describe, expect, test } from 'vitest';
import { contentSecurityPolicy, pageOrigin, windowFlags } from '../../desktop/main/security.ts';
import { english } from '../../desktop/view/texts/english.ts';
import { texts } from '../../shared/core/control/texts.ts';

describe('the window', () => {
  test('loads nothing from outside and runs nothing inline', () => {
    expect(contentSecurityPolicy).toMatch(/^default-src 'none'; /);
    expect(contentSecurityPolicy).toContain("require-trusted-types-for 'script'");
    expect(contentSecurityPolicy).not.toMatch(/unsafe|https?:|data:|\*/);
    expect(pageOrigin).toMatch(/^app:/);
  });

  test('is sandboxed and apart from Node', () => {
    expect(windowFlags).toMatchObject({
      sandbox: true,
      contextIsolation: true,
      nodeIntegration: false,
      nodeIntegrationInWorker: false,
      nodeIntegrationInSubFrames: false,
      webSecurity: true,
      webviewTag: false,
      allowRunningInsecureContent: false,
    });
  });
});

const windowTexts = english.window;
const honestLine = english.join.honest;

describe('the sentences of the desktop', () => {
  test('are short and end as sentences', () => {
    for (const { heading, sentence } of [...Object.values(texts), ...Object.values(windowTexts)]) {
      expect(heading.length).toBeLessThanOrEqual(45);
      expect(sentence).toMatch(/\.$/);
    }
  });

  test('use no word that only experts know', () => {
    expect(JSON.stringify(windowTexts)).not.toMatch(/VPN|WireGuard|tunnel|UDP|IP address|daemon|socket/i);
  });

  test('call nothing private that the daemon has not proved', () => {
    const promising = Object.entries(texts).filter(([, words]) => /\b(is|are) private$/.test(words.heading));

    expect(promising.map(([key]) => key).toSorted()).toEqual([
      'connected',
      'connected-proxy',
      'connected-split',
      'dns',
    ]);
    for (const { heading } of Object.values(windowTexts)) expect(heading).not.toContain('private');
  });

  test('do not promise to hide anyone', () => {
    expect(honestLine).toContain('can see');
    expect(JSON.stringify([texts, windowTexts])).not.toMatch(/anonym|invisible|untraceable/i);
  });
});
