// Help in English: what people ask, answered in the window itself.
import type { Catalogue } from './catalogue.ts';

export const englishHelp: Catalogue['help'] = {
  topics: [
    [
      'What does Culvert do?',
      'It sends what this computer does online, encrypted, through a server that you or a friend runs. Others on the same Wi-Fi see only that you are online, and how much you send.',
    ],
    [
      'What can it not do?',
      'It does not make you anonymous. Whoever runs your server can see what an internet provider could see, and sites that you sign in to still know you.',
    ],
    [
      'What is known of me?',
      'There is no account, and nothing is sent to the makers of Culvert. Whoever runs your server can list all that it keeps: culvert-edge privacy',
    ],
    [
      'A network wants me to sign in',
      'Culvert notices it and keeps everything else closed. Open the sign-in page with the button on the first screen; protection starts by itself afterwards.',
    ],
    [
      'My internet is paused',
      'The way to your server is gone, and nothing is sent without it. Culvert keeps trying. Another network may help; only you can go on without protection.',
    ],
    [
      'It is slow, or a site does not open',
      'Choose another place to go online from. In a terminal, culvert doctor looks for the fault and names one remedy.',
    ],
    [
      'I cannot reach my printer',
      'Under Settings, in Networks and exceptions, open the devices around you for a while.',
    ],
    [
      'My account cannot change anything',
      'Protection of the whole computer belongs to the system. An administrator lets your account command it: sudo culvert account allow, and the name of your account.',
    ],
    [
      'How do I run a server of my own?',
      'Any small Linux computer that the internet can reach will do. On it: culvert-edge init, then culvert-edge run. Its invitation, culvert-edge invite, adds this device.',
    ],
    [
      'Who may copy Culvert?',
      'Everybody, under the Apache License 2.0. Its text is in the file LICENSE beside the program.',
    ],
  ],
  messages: 'All messages, and what to do',
  messagesHint: 'The word in the last line is for people who help you.',
};
