// Reads an invitation out of a picture of its QR code. The picture never leaves the page, and what it says is untrusted.
import { decodeQR } from 'qr/decode.js';

/** Bigger pictures are made smaller: a photo of a code needs no more. */
const longestSide = 1600;
/** A picture is chosen once, so the decoder may try harder than for a camera. */
const decodeMs = 2_000;

/** The text of the code, or undefined where there is none, or the file is no picture. */
export async function textInPicture(file: Blob): Promise<string | undefined> {
  try {
    const bitmap = await createImageBitmap(file);
    const scale = Math.min(1, longestSide / Math.max(bitmap.width, bitmap.height));
    const width = Math.max(1, Math.round(bitmap.width * scale));
    const height = Math.max(1, Math.round(bitmap.height * scale));
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext('2d');
    if (context === null) return undefined;
    context.drawImage(bitmap, 0, 0, width, height);
    bitmap.close();
    return decodeQR(context.getImageData(0, 0, width, height), { timeLimit: decodeMs });
  } catch {
    return undefined; // The decoder and the browser throw on what they cannot read: that is an answer, not a fault.
  }
}
