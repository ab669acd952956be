/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* decoder.c: which UDP ports are tunnels', from the options.  At start; then only read, by any
 * thread.
 *
 * Nearly every datagram is none's, so a filter of one bit for the low ten bits of a port is asked
 * first; a list of a few ports is looked through only when that says maybe.
 */
#include "capture/walk.h"

enum layer decoder_tunnel(const struct decoder *dec, uint16_t port)
{
	for (unsigned i = 0; i < dec->ports_count; i++)
		if (dec->ports[i] == port)
			return dec->layers[i];
	return END_UDP;
}

static enum rc add_port(struct decoder *dec, uint16_t port, enum layer layer, const char *name,
			struct error *err)
{
	if (decoder_tunnel(dec, port) == layer)
		return RC_OK;
	if (decoder_tunnel(dec, port) != END_UDP)
		return error_set(err, RC_USAGE, "%s: port %u is another kind of tunnel's already",
				 name, port);
	if (dec->ports_count == DECODER_PORTS)
		return error_set(err, RC_USAGE, "%s: more than %d tunnel ports in all", name,
				 DECODER_PORTS);
	dec->ports[dec->ports_count] = port;
	dec->layers[dec->ports_count++] = (uint8_t)layer;
	dec->filter[(port >> 6) & 15] |= UINT64_C(1) << (port & 63);
	return RC_OK;
}

/* Numbers from 1 to 65535 with commas between them; spaces do no harm. */
static enum rc add_ports(struct decoder *dec, const char *text, enum layer layer, const char *name,
			 struct error *err)
{
	const char *at = text + strspn(text, " ");

	while (*at) {
		uint32_t port = 0;
		size_t digits = strspn(at, "0123456789");
		for (size_t i = 0; i < digits && port <= UINT16_MAX; i++)
			port = port * 10 + (uint32_t)(at[i] - '0');
		at += digits;
		at += strspn(at, " ");
		bool more = *at == ',';
		at += more;
		at += strspn(at, " ");
		if (!digits || !port || port > UINT16_MAX || more != (*at != '\0'))
			return error_set(err, RC_USAGE,
					 "%s: \"%s\" is not a list of UDP ports such as 4789,8472",
					 name, text);
		enum rc rc = add_port(dec, (uint16_t)port, layer, name, err);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}

enum rc decoder_init(struct decoder *dec, const struct options *o, struct error *err)
{
	const struct {
		const char *name, *ports;
		enum layer layer;
	} lists[] = {
		{ "capture.vxlan-ports", o->vxlan_ports, LAYER_VXLAN },
		{ "capture.vxlan-gpe-ports", o->vxlan_gpe_ports, LAYER_VXLAN_GPE },
		{ "capture.geneve-ports", o->geneve_ports, LAYER_GENEVE },
		{ "capture.gtp-ports", o->gtp_ports, LAYER_GTPU },
		{ "capture.l2tp-ports", o->l2tp_ports, LAYER_L2TP },
		{ "capture.tzsp-ports", o->tzsp_ports, LAYER_TZSP },
		{ "capture.teredo-ports", o->teredo_ports, LAYER_TEREDO },
		{ "capture.gre-ports", o->gre_ports, LAYER_GRE },
		{ "capture.lisp-ports", o->lisp_ports, LAYER_LISP },
		{ "capture.ayiya-ports", o->ayiya_ports, LAYER_AYIYA },
	};

	memset(dec, 0, sizeof *dec);
	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
		enum rc rc = add_ports(dec, lists[i].ports, lists[i].layer, lists[i].name, err);
		if (rc != RC_OK)
			return rc;
	}
	return RC_OK;
}
