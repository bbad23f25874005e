package soap_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/proxy/soap"
)

// BenchmarkRead reads and fills the head of a usual request.
func BenchmarkRead(b *testing.B) {
	body := []byte(envelopes(b)["wsc-partner"])
	r := bytes.NewReader(body)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(body)
		h, err := soap.Read(r)
		if err != nil {
			b.Fatal(err)
		}
		if len(h.Fill(placeholder)) != len(body) {
			b.Fatal("the body changed")
		}
	}
}

// BenchmarkReadLarge reads a head of 60 KiB.
func BenchmarkReadLarge(b *testing.B) {
	body := []byte(envelope(strings.Repeat("<a b='c'>text of a header block</a>\n", 60<<10/36) + session))
	r := bytes.NewReader(body)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(body)
		if _, err := soap.Read(r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRest watches a deployment of 4 MiB, and records of as much, go by.
func BenchmarkRest(b *testing.B) {
	for name, inside := range map[string]string{
		"deploy": strings.Repeat("UEsDBBQACAAIAAAAIQ", 4<<20/18),
		"create": strings.Repeat("<sObjects xsi:type=\"Account\"><Name>Müller &amp; Söhne</Name></sObjects>\n", 4<<20/75),
	} {
		b.Run(name, func(b *testing.B) {
			body := []byte(strings.Replace(envelope(session), "<q>", "<q>"+inside, 1))
			buffer := make([]byte, 32<<10)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				r := bytes.NewReader(body)
				h, err := soap.Read(r)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.CopyBuffer(discard{}, h.Rest(r), buffer); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// discard has no ReadFrom with a buffer of its own.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
