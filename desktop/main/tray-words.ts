// What tray and notifications say beyond the window's own catalogue, in each of its languages. A missing word does not
// compile.
export interface TrayWords {
  readonly turnOn: string;
  readonly turnOff: string;
  readonly stop: string;
  readonly where: string;
  readonly fastest: string;
  readonly noAnswer: string;
  readonly morePlaces: string;
  readonly familyFilter: string;
  readonly open: string;
  readonly openSignIn: string;
  readonly startAgain: string;
  readonly quit: string;
  /** Said once, when the window is closed for the first time. */
  readonly staysOn: string;
  readonly backHeading: string;
  readonly backSentence: string;
}

const english: TrayWords = {
  turnOn: 'Turn on',
  turnOff: 'Turn off',
  stop: 'Stop',
  where: 'Where',
  fastest: 'Fastest (chosen for you)',
  noAnswer: 'no answer',
  morePlaces: 'More places…',
  familyFilter: 'Filter for families',
  open: 'Open Culvert',
  openSignIn: 'Open the sign-in page',
  startAgain: 'Start it again',
  quit: 'Quit (you stay protected)',
  staysOn: 'Closing the window does not turn protection off.',
  backHeading: 'Your connection is private again',
  backSentence: 'It had dropped for a moment. Nothing was sent unprotected.',
};

const german: TrayWords = {
  turnOn: 'Einschalten',
  turnOff: 'Ausschalten',
  stop: 'Abbrechen',
  where: 'Wo',
  fastest: 'Schnellster Ort (für dich gewählt)',
  noAnswer: 'keine Antwort',
  morePlaces: 'Weitere Orte …',
  familyFilter: 'Familienfilter',
  open: 'Culvert öffnen',
  openSignIn: 'Anmeldeseite öffnen',
  startAgain: 'Wieder starten',
  quit: 'Beenden (der Schutz bleibt)',
  staysOn: 'Das Fenster zu schließen schaltet den Schutz nicht aus.',
  backHeading: 'Deine Verbindung ist wieder geschützt',
  backSentence: 'Sie war kurz unterbrochen. Nichts wurde ungeschützt gesendet.',
};

/** `tag` is that of the window's catalogue: 'de'. */
export function trayWordsFor(tag: string): TrayWords {
  return tag.split('-')[0] === 'de' ? german : english;
}
