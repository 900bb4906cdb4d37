// Package sound is the little that tests and the simulator need of telephone sound: G.711 (ITU-T), tones, who is to be heard in a
// mixture (Goertzel), and DTMF as it is sent in the voice (ITU-T Q.23, Q.24). Everything is at 8 kHz, one channel, 16 bit.
//
// Invariants. Nothing here allocates per sample, and no input makes it fail: what is no sound is silence. Functions are pure; a
// Detector belongs to one goroutine.
package sound
