package sfsim

import "encoding/binary"

// protoField is one field of a protocol buffers message: n of a varint, b of a
// length-delimited one.
type protoField struct {
	num int
	n   uint64
	b   []byte
}

// readProto splits a message into its fields. ok is false when it is no message.
func readProto(m []byte) (out []protoField, ok bool) {
	for len(m) > 0 {
		tag, k := binary.Uvarint(m)
		if k <= 0 || tag>>3 == 0 {
			return nil, false
		}
		m = m[k:]
		f := protoField{num: int(tag >> 3)}
		switch tag & 7 {
		case 0:
			n, k := binary.Uvarint(m)
			if k <= 0 {
				return nil, false
			}
			f.n, m = n, m[k:]
		case 1, 5:
			size := 8
			if tag&7 == 5 {
				size = 4
			}
			if len(m) < size {
				return nil, false
			}
			m = m[size:]
		case 2:
			n, k := binary.Uvarint(m)
			if k <= 0 || n > uint64(len(m)-k) {
				return nil, false
			}
			f.b, m = m[k:k+int(n)], m[k+int(n):]
		default:
			return nil, false
		}
		out = append(out, f)
	}
	return out, true
}

// proto is a message being written.
type proto []byte

// bytes appends a length-delimited field; an empty one is left out.
func (m proto) bytes(num int, v []byte) proto {
	if len(v) == 0 {
		return m
	}
	return m.message(num, v)
}

func (m proto) text(num int, v string) proto { return m.bytes(num, []byte(v)) }

// message appends a length-delimited field, also when it is empty.
func (m proto) message(num int, v []byte) proto {
	m = binary.AppendUvarint(m, uint64(num)<<3|2)
	m = binary.AppendUvarint(m, uint64(len(v)))
	return append(m, v...)
}

// varint appends a varint field; zero is left out.
func (m proto) varint(num int, v uint64) proto {
	if v == 0 {
		return m
	}
	return binary.AppendUvarint(binary.AppendUvarint(m, uint64(num)<<3), v)
}
