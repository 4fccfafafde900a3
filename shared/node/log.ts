/**
 * Core's Log for the system: JSON lines (pino) for daemons, plain lines for tools that people
 * start. Keys never appear; network addresses only at debug.
 */

import { writeSync } from 'node:fs';
import pino from 'pino';
import type { Log, LogFields } from '../core/base/ports.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

export interface LogOptions {
  /** Least important level that is written. */
  readonly level: LogLevel;
  /** 'json': one object a line. 'plain': words for people. */
  readonly format: 'json' | 'plain';
  /** Which part speaks, for example 'daemon', 'packets'. */
  readonly part?: string;
  /** Where lines go, line break included; default: standard error, written at once. */
  readonly write?: (line: string) => void;
}

type Severity = Exclude<LogLevel, 'silent'>;

const rank: Record<LogLevel, number> = { debug: 20, info: 30, warn: 40, error: 50, silent: 100 };
const stderrFd = 2;

export function createLog(options: LogOptions): Log {
  const sink = options.write ?? writeStderr;
  const emit = options.format === 'json' ? jsonEmitter(options, sink) : plainEmitter(options, sink);
  const threshold = rank[options.level];
  const at =
    (severity: Severity) =>
    (text: string, fields?: LogFields): void => {
      if (rank[severity] < threshold) return;
      const addresses = severity === 'debug';
      emit(severity, redact(text, addresses), redactFields(fields, addresses));
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** The log of a program that people start: plain lines on standard error. An unknown level means 'error'. */
export function programLog(options: { readonly name: string; readonly level: string | undefined }): Log {
  return createLog({ level: parseLogLevel(options.level) ?? 'error', format: 'plain', part: options.name });
}

/** A level by its name; 'verbose' is the word of WireGuard's tools for debug. */
export function parseLogLevel(text: string | undefined): LogLevel | undefined {
  if (text === 'verbose') return 'debug';
  return text !== undefined && Object.hasOwn(rank, text) ? (text as LogLevel) : undefined;
}

/** Replaces whatever looks like a key and, unless `addresses`, like a network address. */
export function redact(text: string, addresses: boolean): string {
  let clean = text.replace(base64Key, '[key]').replace(hexKey, '[key]');
  if (!addresses) clean = clean.replace(ipv6, maskIpv6).replace(ipv4, '[address]');
  return clean;
}

/** 32 bytes in base64 or hexadecimal. */
const base64Key = /(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{43}(?:=|(?![A-Za-z0-9+/_=-]))/g;
const hexKey = /(?<![0-9a-fA-F])[0-9a-fA-F]{64}(?![0-9a-fA-F])/g;
const ipv4 = /(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.]*\d)/g;
/** Candidates only: times of day look like this too. */
const ipv6 =
  /(?<![0-9a-zA-Z:.])[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}(?:(?:\.\d{1,3}){3})?(?:%[0-9A-Za-z]+)?(?![0-9a-zA-Z:]|\.\d)/g;

function maskIpv6(candidate: string): string {
  const timeOfDay = /^\d\d:\d\d:\d\d$/.test(candidate);
  const whole = candidate.includes('::') || candidate.split(':').length === 8;
  return whole && !timeOfDay ? '[address]' : candidate;
}

function redactFields(fields: LogFields | undefined, addresses: boolean): LogFields {
  const clean: Record<string, string | number | boolean> = {};
  for (const [name, value] of Object.entries(fields ?? {})) {
    if (value === undefined) continue;
    clean[name] = typeof value === 'string' ? redact(value, addresses) : value;
  }
  return clean;
}

type Emit = (severity: Severity, text: string, fields: LogFields) => void;

function jsonEmitter(options: LogOptions, write: (line: string) => void): Emit {
  const base = options.part === undefined ? {} : { part: options.part };
  const settings = { level: options.level, base, timestamp: pino.stdTimeFunctions.isoTime };
  const logger = pino(
    { ...settings, formatters: { level: (label: string) => ({ level: label }) } },
    { write },
  );
  return (severity, text, fields) => logger[severity](fields, text);
}

function plainEmitter(options: LogOptions, write: (line: string) => void): Emit {
  const prefix = options.part === undefined ? '' : `${options.part}: `;
  return (severity, text, fields) => {
    const mark = severity === 'info' ? '' : `${severity}: `;
    const details = Object.entries(fields).map(([name, value]) => ` ${name}=${String(value)}`);
    write(`${prefix}${mark}${text}${details.join('')}\n`);
  };
}

function writeStderr(line: string): void {
  try {
    writeSync(stderrFd, line);
  } catch {
    // The reader of standard error is gone or full: losing a line must not end the program.
  }
}
