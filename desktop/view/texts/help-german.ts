// Help in German: what people ask, answered in the window itself.
import type { Catalogue } from './catalogue.ts';

export const germanHelp: Catalogue['help'] = {
  topics: [
    [
      'Was tut Culvert?',
      'Es schickt verschlüsselt, was dieser Computer im Internet tut, über einen Server, den du oder Bekannte betreiben. Andere im selben WLAN sehen nur, dass du online bist und wie viel du sendest.',
    ],
    [
      'Was kann es nicht?',
      'Es macht dich nicht anonym. Wer deinen Server betreibt, kann sehen, was ein Internetanbieter sehen könnte, und Seiten, bei denen du dich anmeldest, kennen dich weiterhin.',
    ],
    [
      'Was weiß man über mich?',
      'Es gibt kein Konto, und den Machern von Culvert wird nichts gesendet. Wer deinen Server betreibt, kann auflisten, was er aufbewahrt: culvert-edge privacy',
    ],
    [
      'Ein Netz verlangt eine Anmeldung',
      'Culvert merkt das und hält alles andere geschlossen. Öffne die Anmeldeseite mit dem Knopf auf der ersten Seite; danach beginnt der Schutz von selbst.',
    ],
    [
      'Mein Internet ist pausiert',
      'Der Weg zu deinem Server fehlt, und ohne ihn wird nichts gesendet. Culvert versucht es weiter. Vielleicht hilft ein anderes Netz; ohne Schutz weitermachen kannst nur du.',
    ],
    [
      'Es ist langsam, oder eine Seite öffnet nicht',
      'Wähle einen anderen Ort, von dem du ins Internet gehst. Im Terminal sucht culvert doctor den Fehler und nennt eine Abhilfe.',
    ],
    [
      'Ich erreiche meinen Drucker nicht',
      'Öffne in den Einstellungen unter „Netze und Ausnahmen“ die Geräte um dich herum für eine Weile.',
    ],
    [
      'Mein Konto kann nichts ändern',
      'Der Schutz des ganzen Computers gehört dem System. Ein Administrator erlaubt es deinem Konto: sudo culvert account allow und der Name deines Kontos.',
    ],
    [
      'Wie betreibe ich einen eigenen Server?',
      'Jeder kleine Linux-Computer, den das Internet erreicht, genügt. Auf ihm: culvert-edge init, dann culvert-edge run. Seine Einladung, culvert-edge invite, fügt dieses Gerät hinzu.',
    ],
    [
      'Wer darf Culvert kopieren?',
      'Alle, unter der Apache-Lizenz 2.0. Ihr Text steht in der Datei LICENSE neben dem Programm.',
    ],
  ],
  messages: 'Alle Meldungen, und was zu tun ist',
  messagesHint: 'Das Wort in der letzten Zeile ist für Leute, die dir helfen.',
};
