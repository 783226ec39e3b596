"""Avro schemas of alert packets, by the field lists that the surveys publish."""

from __future__ import annotations

from typing import Any

__all__ = ["lsst_schema", "ztf_schema"]

# name:type, with a question mark where it may be null. Sources: ZTF alert schema 3.3 and 4.02
# (https://zwickytransientfacility.github.io/ztf-avro-alert/schema.html), LSST alert schema 7.4 and
# 10.0 (https://github.com/lsst/alert_packet).
ZTF_HISTORY = """
jd:double fid:int pid:long diffmaglim:float? pdiffimfilename:string? programpi:string?
programid:int candid:long? isdiffpos:string? tblid:long? nid:int? rcid:int? field:int? xpos:float?
ypos:float? ra:double? dec:double? magpsf:float? sigmapsf:float? chipsf:float? magap:float?
sigmagap:float? distnr:float? magnr:float? sigmagnr:float? chinr:float? sharpnr:float? sky:float?
magdiff:float? fwhm:float? classtar:float? mindtoedge:float? magfromlim:float? seeratio:float?
aimage:float? bimage:float? aimagerat:float? bimagerat:float? elong:float? nneg:int? nbad:int?
rb:float? ssdistnr:float? ssmagnr:float? ssnamenr:string? sumrat:float? magapbig:float?
sigmagapbig:float? ranr:double? decnr:double? scorr:double? magzpsci:float? magzpsciunc:float?
magzpscirms:float? clrcoeff:float? clrcounc:float? rbversion:string?
"""
ZTF_CANDIDATE = """
jd:double fid:int pid:long diffmaglim:float? pdiffimfilename:string? programpi:string?
programid:int candid:long isdiffpos:string tblid:long? nid:int? rcid:int? field:int? xpos:float?
ypos:float? ra:double dec:double magpsf:float sigmapsf:float chipsf:float? magap:float?
sigmagap:float? distnr:float? magnr:float? sigmagnr:float? chinr:float? sharpnr:float? sky:float?
magdiff:float? fwhm:float? classtar:float? mindtoedge:float? magfromlim:float? seeratio:float?
aimage:float? bimage:float? aimagerat:float? bimagerat:float? elong:float? nneg:int? nbad:int?
rb:float? ssdistnr:float? ssmagnr:float? ssnamenr:string? sumrat:float? magapbig:float?
sigmagapbig:float? ranr:double decnr:double sgmag1:float? srmag1:float? simag1:float?
szmag1:float? sgscore1:float? distpsnr1:float? ndethist:int ncovhist:int jdstarthist:double?
jdendhist:double? scorr:double? tooflag:int? objectidps1:long? objectidps2:long? sgmag2:float?
srmag2:float? simag2:float? szmag2:float? sgscore2:float? distpsnr2:float? objectidps3:long?
sgmag3:float? srmag3:float? simag3:float? szmag3:float? sgscore3:float? distpsnr3:float?
nmtchps:int rfid:long jdstartref:double jdendref:double nframesref:int rbversion:string
dsnrms:float? ssnrms:float? dsdiff:float? magzpsci:float? magzpsciunc:float? magzpscirms:float?
nmatches:int clrcoeff:float? clrcounc:float? zpclrcov:float? zpmed:float? clrmed:float?
clrrms:float? neargaia:float? neargaiabright:float? maggaia:float? maggaiabright:float?
exptime:float? drb:float? drbversion:string?
"""
ZTF_FORCED = """
field:int? rcid:int? fid:int pid:long rfid:long sciinpseeing:float? scibckgnd:float?
scisigpix:float? magzpsci:float? magzpsciunc:float? magzpscirms:float? clrcoeff:float?
clrcounc:float? exptime:float? adpctdif1:float? adpctdif2:float? diffmaglim:float? programid:int
jd:double forcediffimflux:float? forcediffimfluxunc:float? procstatus:string? distnr:float?
ranr:double decnr:double magnr:float? sigmagnr:float? chinr:float? sharpnr:float?
"""
LSST_SOURCE = """
diaSourceId:long visit:long detector:int diaObjectId:long? ssObjectId:long? parentDiaSourceId:long?
midpointMjdTai:double ra:double raErr:float? dec:double decErr:float? ra_dec_Cov:float? x:float
xErr:float? y:float yErr:float? centroid_flag:boolean? apFlux:float? apFluxErr:float?
apFlux_flag:boolean? isNegative:boolean? snr:float? psfFlux:float? psfFluxErr:float? psfLnL:float?
psfChi2:float? psfNdata:int? psfFlux_flag:boolean? psfFlux_flag_edge:boolean?
psfFlux_flag_noGoodPixels:boolean? trailFlux:float? trailFluxErr:float? trailLength:float?
dipoleMeanFlux:float? dipoleLength:float? scienceFlux:float? scienceFluxErr:float?
forced_PsfFlux_flag:boolean? templateFlux:float? templateFluxErr:float? ixx:float? iyy:float?
ixy:float? shape_flag:boolean? extendedness:float? reliability:float? band:string?
isDipole:boolean? timeProcessedMjdTai:double timeWithdrawnMjdTai:double? bboxSize:int?
pixelFlags:boolean? pixelFlags_bad:boolean? pixelFlags_cr:boolean? pixelFlags_edge:boolean?
pixelFlags_saturated:boolean? pixelFlags_streak:boolean?
"""
LSST_FORCED = """
diaForcedSourceId:long diaObjectId:long ra:double dec:double visit:long detector:int psfFlux:float?
psfFluxErr:float? midpointMjdTai:double scienceFlux:float? scienceFluxErr:float? band:string?
timeProcessedMjdTai:double timeWithdrawnMjdTai:double?
"""
LSST_OBJECT = """
diaObjectId:long validityStartMjdTai:double ra:double raErr:float? dec:double decErr:float?
ra_dec_Cov:float? g_psfFluxMean:float? g_psfFluxNdata:int? r_psfFluxMean:float?
r_psfFluxNdata:int? firstDiaSourceMjdTai:double? lastDiaSourceMjdTai:double? nDiaSources:int
"""


def _fields(listed: str, without: str = "") -> list[dict[str, Any]]:
    """Fields of a list, without some."""
    fields = []
    for entry in listed.split():
        name, kind = entry.split(":")
        if name in without.split():
            continue
        one: dict[str, Any] = {"name": name, "type": kind}
        if kind.endswith("?"):
            one = {"name": name, "type": ["null", kind[:-1]], "default": None}
        fields.append(one)
    return fields


def _record(name: str, space: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "record", "name": name, "namespace": space, "fields": fields}


def _list_of(name: str, items: Any) -> dict[str, Any]:
    return {"name": name, "type": ["null", {"type": "array", "items": items}], "default": None}


def ztf_schema(version: str = "4.02") -> dict[str, Any]:
    """Schema of a ZTF packet.

    Parameters
    ----------
    version : {"4.02", "3.3"}
        The older one has no forced photometry.
    """
    cutout = _record(
        "cutout",
        "ztf.alert",
        [{"name": "fileName", "type": "string"}, {"name": "stampData", "type": "bytes"}],
    )
    fields = _fields("schemavsn:string publisher:string objectId:string candid:long")
    candidate = _record("candidate", "ztf.alert", _fields(ZTF_CANDIDATE))
    history = _record("prv_candidate", "ztf.alert", _fields(ZTF_HISTORY))
    fields += [{"name": "candidate", "type": candidate}, _list_of("prv_candidates", history)]
    if version != "3.3":
        forced = _record("fp_hist", "ztf.alert", _fields(ZTF_FORCED))
        fields.append(_list_of("fp_hists", forced))
    kind: Any = cutout
    for name in ("cutoutScience", "cutoutTemplate", "cutoutDifference"):
        fields.append({"name": name, "type": ["null", kind], "default": None})
        kind = "ztf.alert.cutout"
    return _record("alert", "ztf", fields) | {"version": version}


def lsst_schema(version: str = "10.0") -> dict[str, Any]:
    """Schema of an LSST packet, without the orbits of minor planets.

    Parameters
    ----------
    version : {"10.0", "7.4"}
        The older one knows neither the flux of the science image nor withdrawals.
    """
    space = f"lsst.v{version.replace('.', '_')}"
    new = version != "7.4"
    key = "diaSourceId:long" if new else "alertId:long"
    missing = (
        ""
        if new
        else (
            "scienceFlux scienceFluxErr templateFlux templateFluxErr timeProcessedMjdTai "
            "timeWithdrawnMjdTai isDipole bboxSize isNegative"
        )
    )
    source = _record("diaSource", space, _fields(LSST_SOURCE, missing))
    forced = _record("diaForcedSource", space, _fields(LSST_FORCED, missing))
    known = _record("diaObject", space, _fields(LSST_OBJECT))
    fields = [
        *_fields(key),
        {"name": "diaSource", "type": source},
        _list_of("prvDiaSources", f"{space}.diaSource"),
        _list_of("prvDiaForcedSources", forced),
        {"name": "diaObject", "type": ["null", known], "default": None},
        *_fields("cutoutDifference:bytes? cutoutScience:bytes? cutoutTemplate:bytes?"),
    ]
    return _record("alert", space, fields)
