package virtual_test

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/proxy/virtual"
)

func TestAPlaceholderOpensToWhatItWasMadeOf(t *testing.T) {
	long := strings.Repeat("n", virtual.MaxName)
	for _, tt := range []struct {
		name   string
		change func(*virtual.Claim)
	}{
		{"a client's", func(*virtual.Claim) {}},
		{"a local caller's", func(c *virtual.Claim) { c.Client, c.ClientStamp = "", "" }},
		{"one for an org whose id isn't known", func(c *virtual.Claim) { c.OrganizationID = "" }},
		{"the longest", func(c *virtual.Claim) {
			c.Client, c.Org, c.ClientStamp = long, long, strings.Repeat("\xff", virtual.MaxStamp)
		}},
		{"the shortest", func(c *virtual.Claim) { *c = virtual.Claim{Org: "a", Issued: time.UnixMilli(-1).UTC()} }},
		{"one with bytes of every kind", func(c *virtual.Claim) { c.Client, c.ClientStamp = "ä\x00!", "\x00\x01" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, want := placeholders(t), claim()
			tt.change(&want)
			s, err := p.Make(want)
			if err != nil {
				t.Fatal(err)
			}
			got, ok := p.Open(s)
			if diff := cmp.Diff(want, got); !ok || diff != "" {
				t.Errorf("%s opens: %t, %s", s, ok, diff)
			}
			if !virtual.IsPlaceholder(s) || len(s) >= 512 {
				t.Errorf("%d characters: %s", len(s), s)
			}
			// forcedotcom/sfdx-core, src/util/sfdc.ts
			if !regexp.MustCompile(`^(00D\w{12,15})![.\w]*$`).MatchString(s) {
				t.Errorf("no client takes %s for an access token", s)
			}
		})
	}
}

func TestAPlaceholderShowsTheOrgsLongID(t *testing.T) {
	for given, want := range map[string]string{
		"00DWt00000B2V4bMAF": "00DWt00000B2V4bMAF",
		"00DWt00000B2V4b":    "00DWt00000B2V4bMAF",
		"":                   "00D000000000000EAA",
	} {
		c := claim()
		c.OrganizationID = given
		s, err := placeholders(t).Make(c)
		if err != nil || s[:18] != want {
			t.Errorf("%q: %s, %v", given, s, err)
		}
	}
}

func TestTwoPlaceholdersOfOneClaimDiffer(t *testing.T) {
	p := placeholders(t)
	if a, b := placeholder(t, p), placeholder(t, p); a == b {
		t.Error("the same one twice")
	}
}

func TestNoOtherTextOpens(t *testing.T) {
	p := placeholders(t)
	s := placeholder(t, p).Reveal()
	refuse := func(why, s string) {
		t.Helper()
		if c, ok := p.Open(s); ok || c != (virtual.Claim{}) {
			t.Errorf("%s opens: %s", why, s)
		}
	}
	for i := range len(s) {
		for _, c := range "AaZz09._!\n\r-+/= \x00\xff" {
			if mutant := s[:i] + string(c) + s[i+1:]; mutant != s {
				refuse(fmt.Sprintf("character %d changed", i), mutant)
			}
		}
		refuse(fmt.Sprintf("a bit of character %d flipped", i), s[:i]+string(s[i]^0x20)+s[i+1:])
		refuse(fmt.Sprintf("character %d left out", i), s[:i]+s[i+1:])
		refuse(fmt.Sprintf("cut at %d", i), s[:i])
		refuse(fmt.Sprintf("a line break at %d", i), s[:i]+"\n"+s[i:])
	}
	refuse("another org's id", strings.Replace(s, "00DWt00000B2V4bMAF", "00DWt00000B2V4cMAF", 1))
	for _, more := range []string{"A", ".", "AAAA", "\n", "\r\n", "=", s} {
		refuse("more at the end", s+more)
	}
	other, err := virtual.New([]byte(strings.Repeat("k", virtual.KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	refuse("another key's", placeholder(t, other).Reveal())
	for _, token := range []string{"", "00D", "x", "00DWt00000B2V4b!AQ4AQNBFU62TCNFV6TkN0mnq2Z1Cu5MhRp1wbC3sPVBPkk8vFNR1",
		"00DWt00000B2V4bMAF!AQ.sallyport.1.", "00DWt00000B2V4bMAF!AQ.sallyport.2." + s[34:], virtual.PlaceholderRefreshToken,
		s[:34] + strings.Repeat("A", 1<<20)} {
		refuse("a stranger", token)
	}
}

// The bits of the last character that the encoding doesn't need are a second way to write the same bytes, for two lengths
// in three.
func TestTheLastCharacterHasOneValue(t *testing.T) {
	p := placeholders(t)
	for _, client := range []string{"a", "ab", "abc"} {
		c := claim()
		c.Client = client
		s, err := p.Make(c)
		if err != nil {
			t.Fatal(err)
		}
		opens := 0
		for _, last := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._" {
			if _, ok := p.Open(s[:len(s)-1] + string(last)); ok {
				opens++
			}
		}
		if opens != 1 {
			t.Errorf("%d last characters open", opens)
		}
	}
}

// Made by the first version, under the same key. Replicas of two versions must open each other's.
const golden = "00DWt00000B2V4bMAF!AQ.sallyport.1.H6_YwsFMkmdx7nJwaERiLz73ieF_oxPjHz3HO6IMJOK_YWf8pc_aTjSjjKrKTjdzBf" +
	"Gf.EaVuQQdHOKcz5x5eAzEXX4zIsJADsz_"

func TestAPlaceholderOfTheFirstVersionStillOpens(t *testing.T) {
	got, ok := placeholders(t).Open(golden)
	if diff := cmp.Diff(claim(), got); !ok || diff != "" {
		t.Errorf("opens: %t, %s", ok, diff)
	}
}

func TestIsPlaceholder(t *testing.T) {
	s := placeholder(t, placeholders(t)).Reveal()
	for text, want := range map[string]bool{
		s: true, s[:40]: true, "00D000000000000EAA!AQ.sallyport.1.x": true, s[:34]: false, s[1:]: false, "": false,
		"00DWt00000B2V4bMAF!AQ4AQNBFU62TCNFV6TkN0mnq2Z1Cu5MhRp1wbC3sPVBPkk8": false,
		"xxDWt00000B2V4bMAF!AQ.sallyport.1.xxxx":                             false, "Bearer " + s: false,
	} {
		if virtual.IsPlaceholder(text) != want {
			t.Errorf("%q: not %t", text, want)
		}
	}
	is := false
	if n := testing.AllocsPerRun(100, func() { is = virtual.IsPlaceholder(s) }); n != 0 || !is {
		t.Errorf("the check costs %v allocations", n)
	}
}

func TestClaimsThatNoPlaceholderCanMakeNameTheField(t *testing.T) {
	long := strings.Repeat("n", virtual.MaxName+1)
	for _, tt := range []struct {
		name, field string
		change      func(*virtual.Claim)
	}{
		{"a client's name that is too long", "Client", func(c *virtual.Claim) { c.Client = long }},
		{"a stamp that is too long", "ClientStamp", func(c *virtual.Claim) { c.ClientStamp = strings.Repeat("s", 17) }},
		{"no org", "Org", func(c *virtual.Claim) { c.Org = "" }},
		{"an org's key that is too long", "Org", func(c *virtual.Claim) { c.Org = long }},
		{"no time", "Issued", func(c *virtual.Claim) { c.Issued = time.Time{} }},
		{"an id that is too long", "OrganizationID", func(c *virtual.Claim) { c.OrganizationID = organization + "x" }},
		{"a user's id", "OrganizationID", func(c *virtual.Claim) { c.OrganizationID = user }},
		{"an id with an exclamation mark", "OrganizationID", func(c *virtual.Claim) { c.OrganizationID = "00D!t00000B2V4bMAF" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := claim()
			tt.change(&c)
			s, err := placeholders(t).Make(c)
			var bad *virtual.ClaimError
			if s != "" || !errors.As(err, &bad) || bad.Field != tt.field || !strings.Contains(err.Error(), tt.field) {
				t.Errorf("got %q, %v", s, err)
			}
		})
	}
}

func TestAKeyOfAnotherLengthIsRefused(t *testing.T) {
	for _, n := range []int{0, 16, 31, 33} {
		if p, err := virtual.New(make([]byte, n)); p != nil || err == nil {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestPlaceholdersDoNotPrintTheirKeys(t *testing.T) {
	p := placeholders(t)
	given := make([]byte, virtual.KeySize)
	for i := range given {
		given[i] = byte(i)
	}
	derived, err := hkdf.Expand(sha256.New, given, "sallyport/placeholder/1", virtual.KeySize)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%d", "%q"} {
		for _, printed := range []string{fmt.Sprintf(verb, p), fmt.Sprintf(verb, *p)} {
			for _, key := range [][]byte{given, derived} {
				for _, as := range []string{"%s", "%x", "%X", "%d", "%q", "%v"} {
					if strings.Contains(printed, strings.Trim(fmt.Sprintf(as, key), "[]")) {
						t.Errorf("%s prints a key: %s", verb, printed)
					}
				}
			}
		}
	}
}

func TestSignaturesAreStableAndOfOneAnswer(t *testing.T) {
	p := placeholders(t)
	a := p.Sign(identity, issued)
	if !regexp.MustCompile(`^[A-Za-z0-9+/]{43}=$`).MatchString(a) {
		t.Errorf("not the base64 of 32 bytes: %s", a)
	}
	if b := placeholders(t).Sign(identity, issued); a != b {
		t.Errorf("another replica signs %s instead of %s", b, a)
	}
	if a == p.Sign(identity, issued.Add(time.Millisecond)) || a == p.Sign(identity+"x", issued) {
		t.Error("another answer has the same signature")
	}
}

func BenchmarkOpen(b *testing.B) {
	p := placeholders(b)
	s := placeholder(b, p).Reveal()
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := p.Open(s); !ok {
			b.Fatal("doesn't open")
		}
	}
}
