// German words for the states of the daemon, its problems and its refusals.
import type { TextKey, Words } from '../../../shared/core/control/texts.ts';
import type { Catalogue } from './catalogue.ts';

export const germanStates: Readonly<Record<TextKey, Words>> = {
  off: {
    heading: 'Dein Internet ist nicht geschützt',
    sentence: 'Andere in diesem Netz können vielleicht sehen, welche Seiten du besuchst.',
  },
  paused: {
    heading: 'Der Schutz pausiert',
    sentence:
      'Dein Internet ist ungeschützt, bis der Schutz von selbst zurückkommt oder du ihn einschaltest.',
  },
  trusted: {
    heading: 'In diesem Netz ruht der Schutz',
    sentence: 'Es steht auf deiner Liste. Anderswo kommt der Schutz von selbst zurück.',
  },
  locked: {
    heading: 'Internet gesperrt, Schutz ist aus',
    sentence: 'Die Sperre ist an: Nichts verlässt diesen Computer, bis du den Schutz einschaltest.',
  },
  enrolling: { heading: 'Gerät wird hinzugefügt ...', sentence: 'Das dauert meist ein paar Sekunden.' },
  connecting: {
    heading: 'Dein Internet wird geschützt ...',
    sentence: 'Das dauert meist ein paar Sekunden. Nichts verlässt diesen Computer ungeschützt.',
  },
  connected: {
    heading: 'Dein Internet ist geschützt',
    sentence: 'Andere in diesem Netz können nicht sehen, was du im Internet tust.',
  },
  'connected-proxy': {
    heading: 'Programme am Proxy sind geschützt',
    sentence: 'Andere Programme auf diesem Computer benutzen das Netz wie bisher.',
  },
  'connected-split': {
    heading: 'Ein Teil deines Internets ist geschützt',
    sentence: 'Nur die Adressen dieses Servers gehen durch ihn, alles andere wie bisher.',
  },
  dns: {
    heading: 'Deine Namensabfragen sind geschützt',
    sentence: 'Andere können nicht lesen, welche Namen du abfragst. Adressen sehen sie vielleicht noch.',
  },
  portal: {
    heading: 'Dieses Netz verlangt eine Anmeldung',
    sentence: 'Melde dich erst an. Gleich danach wird dein Internet geschützt.',
  },
  waiting: {
    heading: 'Internet pausiert, um dich zu schützen',
    sentence: 'Gerade führt kein Weg zu deinem Server. Culvert versucht es von selbst weiter.',
  },
  blocked: {
    heading: 'Internet pausiert, um dich zu schützen',
    sentence: 'Die geschützte Verbindung ist abgebrochen. Bis sie zurück ist, wird nichts gesendet.',
  },
  disconnecting: { heading: 'Schutz wird ausgeschaltet ...', sentence: 'Das dauert einen Moment.' },
};

export const germanProxyStates: Readonly<Partial<Record<TextKey, Words>>> = {
  off: {
    heading: 'Dein Internet ist nicht geschützt',
    sentence: 'Der Proxy ist aus. Andere in diesem Netz sehen vielleicht, welche Seiten du besuchst.',
  },
  connecting: {
    heading: 'Der Proxy wird geschützt ...',
    sentence: 'Das dauert meist ein paar Sekunden. Bis dahin lehnt der Proxy alles ab.',
  },
  waiting: {
    heading: 'Proxy pausiert, um dich zu schützen',
    sentence: 'Gerade führt kein Weg zu deinem Server. Culvert versucht es von selbst weiter.',
  },
  blocked: {
    heading: 'Proxy pausiert, um dich zu schützen',
    sentence: 'Die geschützte Verbindung ist abgebrochen. Bis sie zurück ist, lehnt der Proxy alles ab.',
  },
};

export const germanHealth: Catalogue['health'] = {
  'handshake-timeout': [
    'Dein Server antwortet nicht.',
    'Wir versuchen es weiter. Vielleicht hilft ein anderes Netz.',
  ],
  'no-reply': [
    'Dein Server antwortet, aber es kommt noch nichts zurück.',
    'Warte kurz oder frage den Betreiber.',
  ],
  stalled: [
    'Dein Server antwortet nicht mehr. An ihm vorbei wird nichts gesendet.',
    'Warte kurz. Wenn es bleibt, versuche ein anderes Netz.',
  ],
  'dns-port-open': [
    'Programme, die selbst nach Namen fragen, werden hier nicht gestoppt.',
    'Ein neueres Linux kann das.',
  ],
  'dns-untrusted': [
    'Anstelle des Namensdienstes antwortet jemand anderes. Er wird nicht gefragt.',
    'Versuche ein anderes Netz.',
  ],
  'split-proxy': ['Über diesen Server ist nur ein Teil erreichbar.', 'So hat es der Betreiber eingestellt.'],
  'udp-blocked': ['Dieses Netz sperrt den schnellen Weg. Ein langsamerer dient.', 'Nichts zu tun.'],
  'udp-slow': ['Dieses Netz bremst den schnellen Weg. Ein anderer dient.', 'Nichts zu tun.'],
  'tls-chosen': [
    'Dein Server wird wie Webverkehr erreicht, wie du gewählt hast.',
    'Den schnellen Weg wählst du in den Einstellungen.',
  ],
  portal: ['Dieses Netz verlangt eine Anmeldung.', 'Öffne seine Seite und melde dich an.'],
  'tls-intercepted': [
    'Anstelle deines Servers antwortet jemand anderes. Er sieht nichts von dir.',
    'Versuche ein anderes Netz.',
  ],
  'edge-newer': ['Dein Server ist neuer als dieses Culvert.', 'Bringe Culvert auf den neuesten Stand.'],
  lockdown: ['Ohne Schutz bleibt das Internet gesperrt.', 'Das änderst du in den Einstellungen.'],
  'dns-unanswered': [
    'Namen lassen sich gerade nicht abfragen.',
    'Vielleicht sperrt dieses Netz private Abfragen. Versuche ein anderes.',
  ],
  'dns-not-taken': [
    'Private Abfragen funktionieren, aber dieser Computer nutzt sie nicht.',
    'Culvert braucht hier mehr Erlaubnis.',
  ],
  'dns-not-managed': ['Dieser Computer fragt Namen ab wie bisher.', 'Wähle „Alles“ mit privaten Abfragen.'],
  'dns-lost': ['Ein anderes Programm ändert immer wieder, wer gefragt wird.', 'Beende andere VPN-Programme.'],
  'dns-unfiltered': ['Mit deinem Anbieter werden schädliche Seiten nicht gesperrt.', 'Nimm den üblichen.'],
  'mtu-reduced': ['Dieses Netz trägt nur kleine Pakete. Es geht, etwas langsamer.', 'Nichts zu tun.'],
  'mtu-broken': ['Dieses Netz verliert einen Teil der Daten. Seiten können hängen.', 'Versuche ein anderes.'],
  'address-collision': ['Dieses Netz benutzt dieselben Adressen wie dein Server.', 'Beende andere VPNs.'],
  'lan-open': ['Geräte um dich herum sind erreichbar und erreichen dich.', 'Wie du gewählt hast.'],
  'split-rules': ['Manche Seiten oder Programme gehen am Schutz vorbei.', 'Wie du gewählt hast.'],
  'split-include': ['Nur was du gewählt hast, ist geschützt.', 'Wie du gewählt hast.'],
  'split-tunnel': ['Nur ein Teil geht über diesen Server.', 'So hat es der Betreiber eingestellt.'],
  'host-fight': [
    'Ein anderes Programm hebt den Schutz auf, wir stellen ihn wieder her.',
    'Beende andere VPNs.',
  ],
  'edge-stopping': ['Dein Server wird neu gestartet.', 'Wir verbinden uns von selbst wieder.'],
  'cannot-block': ['Vielleicht wird ungeschützt gesendet.', 'Starte den Computer neu oder hole Hilfe.'],
  'no-network': ['Dieser Computer hat kein Netz.', 'Verbinde dich mit einem WLAN.'],
};

export const germanErrors: Catalogue['errors'] = {
  unsupported: ['Das geht hier noch nicht.', 'Eine neuere Version kann es vielleicht.'],
  timeout: ['Es hat zu lange gedauert.', 'Versuche es noch einmal.'],
  'daemon-not-running': ['Culvert läuft nicht.', 'Starte es neu.'],
  'no-permission': ['Dein Konto darf das nicht ändern.', 'Erlaube zuerst dein Konto.'],
  'not-root': ['Dafür hat Culvert auf diesem Computer keine Erlaubnis.', 'Wähle einen anderen Schutz.'],
  'unsupported-mode': ['Das kann dieser Computer nicht.', 'Wähle einen anderen Schutz.'],
  'no-edge': ['Es ist noch kein Server bekannt.', 'Füge dieses Gerät mit einer Einladung hinzu.'],
  'invite-expired': ['Diese Einladung ist abgelaufen.', 'Bitte um eine neue.'],
  'bad-invite': ['Das ist keine Einladung, oder sie wurde schon benutzt.', 'Bitte um eine neue.'],
  'edge-unreachable': ['Der Server antwortet nicht.', 'Prüfe das Netz und versuche es noch einmal.'],
  'edge-impostor': [
    'An Stelle des Servers antwortet jemand anderes. Es wurde nichts gesendet.',
    'Versuche ein anderes Netz. Wenn es bleibt, bitte um eine neue Einladung.',
  ],
  'not-allowed': ['Niemand hat es erlaubt.', 'Versuche es mit dem Passwort eines Administrators.'],
  'bad-rule': ['Das ist keine Adresse und kein Name.', 'Prüfe die Schreibweise.'],
  'kernel-disguise': [
    'So lässt sich nicht tarnen, was dein Server getarnt haben will.',
    'Frage den Betreiber dieses Computers.',
  ],
  'edge-refused': ['Der Server hat abgelehnt.', 'Frage den Betreiber.'],
  'bad-setting': ['Dieser Wert passt nicht.', 'Prüfe die Schreibweise.'],
  'not-connected': ['Der Schutz ist aus.', 'Schalte ihn zuerst ein.'],
  internal: ['Culvert hat einen Fehler.', 'Sammle Einzelheiten und schreibe dem Betreiber deines Servers.'],
};
