package journal

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// A frame is magic, length, durable, checksum, payload; the numbers are little
// endian. The magic begins with a byte that UTF-8 never has, so that no JSON
// payload can hold a frame.
const (
	frameMagic  = "\xffSPJ"
	frameHead   = 4 + 4 + 8 + 4
	maxPayload  = 16 << 20
	offLength   = 4
	offDurable  = 8
	offChecksum = 16
)

// appendFrame adds a frame to buf. durable says how many bytes of the file are
// known to be on the disk.
func appendFrame(buf []byte, durable int64, payload []byte) []byte {
	start := len(buf)
	buf = append(buf, frameMagic...)
	buf = binary.LittleEndian.AppendUint32(buf, uint32(len(payload)))
	buf = binary.LittleEndian.AppendUint64(buf, uint64(durable))
	buf = binary.LittleEndian.AppendUint32(buf, checksum(buf[start+offLength:start+offChecksum], payload))
	return append(buf, payload...)
}

// frame is one frame that was read.
type frame struct {
	at, durable int64
	size        int
	payload     []byte
}

// readFrame reads the frame at data[at:], false where there is no sound one.
func readFrame(data []byte, at int) (frame, bool) {
	b := data[at:]
	if len(b) < frameHead || string(b[:offLength]) != frameMagic {
		return frame{}, false
	}
	n := binary.LittleEndian.Uint32(b[offLength:])
	if n > maxPayload || int(n) > len(b)-frameHead {
		return frame{}, false
	}
	payload := b[frameHead : frameHead+int(n)]
	if checksum(b[offLength:offChecksum], payload) != binary.LittleEndian.Uint32(b[offChecksum:]) {
		return frame{}, false
	}
	return frame{
		at: int64(at), size: frameHead + int(n), payload: payload,
		durable: int64(binary.LittleEndian.Uint64(b[offDurable:])),
	}, true
}

// checksum is CRC32C (Castagnoli), over the numbers and the payload.
func checksum(head, payload []byte) uint32 {
	t := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(head, t), t, payload)
}

// gap is a stretch of a file that holds no sound frame. Its resume is where the
// next one begins, the file's end where none follows.
type gap struct{ at, resume int64 }

// scan reads all the sound frames of a file, and where there are none. Frames
// behind a gap count: they may hold answers.
func scan(data []byte) (frames []frame, gaps []gap) {
	for at := 0; at < len(data); {
		if f, ok := readFrame(data, at); ok {
			frames = append(frames, f)
			at += f.size
			continue
		}
		next := len(data)
		for from := at + 1; from < len(data); {
			i := bytes.Index(data[from:], []byte(frameMagic))
			if i < 0 {
				break
			}
			if _, ok := readFrame(data, from+i); ok {
				next = from + i
				break
			}
			from += i + 1
		}
		gaps = append(gaps, gap{at: int64(at), resume: int64(next)})
		at = next
	}
	return frames, gaps
}
