/** A QR code for the terminal, two rows a line. Dark on light whatever the terminal's colours: phones need that. */

import encodeQr from 'qr';

const darkOnLight = '\u001b[38;5;16;48;5;231m';
const usual = '\u001b[0m';
/** Light modules around the code; the standard wants four, phones are content with two. */
const border = 2;

export function qrText(text: string): string {
  const rows = encodeQr(text, 'raw', { ecc: 'low', border });
  const lines: string[] = [];
  for (let y = 0; y < rows.length; y += 2) {
    const [upper = [], lower = []] = [rows[y], rows[y + 1]];
    const cells = upper.map((dark, x) => block(dark, lower[x] === true)).join('');
    lines.push(`${darkOnLight}${cells}${usual}`);
  }
  return `${lines.join('\n')}\n`;
}

function block(upper: boolean, lower: boolean): string {
  if (upper) return lower ? '█' : '▀';
  return lower ? '▄' : ' ';
}
