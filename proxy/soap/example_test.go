package soap_test

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sallyport/sallyport/proxy/soap"
)

func ExampleRead() {
	body := strings.NewReader(`<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/">` +
		`<e:Header xmlns="urn:partner.soap.sforce.com"><SessionHeader><sessionId>none</sessionId></SessionHeader></e:Header>` +
		`<e:Body><getUserInfo xmlns="urn:partner.soap.sforce.com"/></e:Body></e:Envelope>`)
	head, err := soap.Read(body)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(head.Operation.Local, "in", head.Operation.Space)
	fmt.Println("longer by", head.Delta("00D!AQ.token"))
	_, _ = os.Stdout.Write(head.Fill("00D!AQ.token"))
	_, _ = io.Copy(os.Stdout, head.Rest(body))
	// Output:
	// getUserInfo in urn:partner.soap.sforce.com
	// longer by 8
	// <e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Header xmlns="urn:partner.soap.sforce.com"><SessionHeader><sessionId>00D!AQ.token</sessionId></SessionHeader></e:Header><e:Body><getUserInfo xmlns="urn:partner.soap.sforce.com"/></e:Body></e:Envelope>
}

func ExampleIsDead() {
	fmt.Println(soap.IsDead([]byte(`<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><e:Fault>` +
		`<faultcode>sf:INVALID_SESSION_ID</faultcode><faultstring>Invalid Session ID found in SessionHeader`)))
	// Output: true
}
